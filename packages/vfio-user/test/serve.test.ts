// serve(), the main program of a device, as its author meets it: what a mistake in a hook prints, and --verbose. The device is a
// program of its own, written here.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { afterEach, expect, test } from "vitest";
import { VfioUserClient } from "../src/index.ts";

const folder = mkdtempSync("/tmp/emudev-serve-");
const kit = new URL("../dist/index.js", import.meta.url).href;
writeFileSync(
  `${folder}/device.mjs`,
  `import { pciDevice, registers, serve } from ${JSON.stringify(kit)};
  const bar0 = registers({ BAD: { offset: 0, read() { throw new Error("a slip of the author"); } } });
  await serve("bad", pciDevice({ vendor: 1, device: 2, class: 0xff0000, bars: { 0: { size: 16, registers: bar0 } } }));`,
);

let child: ChildProcess;
let printed = "";

async function start(...args: string[]): Promise<VfioUserClient> {
  printed = "";
  child = spawn(process.execPath, [`${folder}/device.mjs`, `${folder}/s`, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  for (const stream of [child.stdout!, child.stderr!])
    stream.on("data", (text) => {
      printed += text;
    });
  await until(/ready at/);
  return VfioUserClient.connect(`${folder}/s`);
}

async function until(pattern: RegExp): Promise<void> {
  while (!pattern.test(printed)) await new Promise((resolve) => setTimeout(resolve, 5));
}

afterEach(async () => {
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  expect(await gone).toBe(0);
  rmSync(`${folder}/s`, { force: true });
});

test("an exception in a hook is printed with its place, and the device goes on", async () => {
  const client = await start();
  await expect(client.regionRead(0, 0, 4)).rejects.toMatchObject({ errno: 5 });
  await until(/bad: REGION_READ failed in the device: Error: a slip of the author\n\s+at .*device\.mjs:2/);
  await expect(client.regionRead(0, 64, 4)).rejects.toMatchObject({ errno: 22 });
  expect((await client.regionRead(0, 8, 4)).length).toBe(4);
  expect(printed).not.toMatch(/refused|connected/);
  client.close();
});

test("--verbose also tells who comes, and why a command was refused", async () => {
  const client = await start("--verbose");
  await expect(client.regionRead(0, 64, 4)).rejects.toMatchObject({ errno: 22 });
  await until(/bad: .*client \d+ has connected[\s\S]*bad: REGION_READ refused, errno 22: .+/);
  client.close();
  await until(/has left/);
});
