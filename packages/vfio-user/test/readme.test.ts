// The example in the README is run as it stands.

import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";

test("the example of the README works", () => {
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  const example = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? "";
  const folder = `/tmp/vfio-user/${process.pid}`;
  const entry = new URL("../dist/index.js", import.meta.url).href;
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    `${folder}/example.mjs`,
    example
      .replace('"@emudev/vfio-user"', JSON.stringify(entry))
      .replaceAll("/tmp/example-device", `${folder}/example`),
  );
  expect(execFileSync(process.execPath, [`${folder}/example.mjs`], { encoding: "utf8" })).toBe(
    "Uint8Array(1) [ 42 ]\n",
  );
});
