// The programs of docs/tutorial.md are compiled under the repository's rules and run; what they print is what it says.
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const text = readFileSync(new URL("../docs/tutorial.md", import.meta.url), "utf8");
const programs = [...text.matchAll(/```ts (\S+)\n([\s\S]*?)```/g)].map(([, name, code]) => ({
  name: name!,
  code: code!,
}));

test("the tutorial's device has at most 60 lines and does what the tutorial prints", async () => {
  expect(programs.map(({ name }) => name)).toEqual(["sum.ts", "try.ts"]);
  expect(programs[0]!.code.trimEnd().split("\n").length).toBeLessThanOrEqual(60);
  const folder = mkdtempSync(join(tmpdir(), "emudev-tutorial-"));
  try {
    symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
    writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
    mkdirSync(join(folder, "src"));
    for (const { name, code } of programs) writeFileSync(join(folder, "src", name), code);
    const { compilerOptions } = JSON.parse(readFileSync(join(root, "tsconfig.json"), "utf8"));
    const options = { ...compilerOptions, composite: false, rootDir: "src", outDir: "dist" };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions: options, include: ["src"] }));
    execFileSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", folder], { stdio: "inherit" });

    const socket = join(folder, "sum.sock");
    const device = spawn(process.execPath, [join(folder, "dist/sum.js"), socket], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const exited = new Promise((resolve) => device.once("exit", resolve));
    const ready = await new Promise((resolve) => device.stdout.once("data", (data) => resolve(String(data))));
    expect(ready).toBe(`sum: ready at ${socket}\n`);
    const printed = execFileSync(process.execPath, [join(folder, "dist/try.js"), socket], { encoding: "utf8" });
    expect(text).toContain(`$ node try.js /tmp/sum.sock\n${printed}\`\`\``);
    // the path is taken: one sentence, no stack
    const second = spawn(process.execPath, [join(folder, "dist/sum.js"), socket], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let said = "";
    second.stderr.on("data", (data) => {
      said += data;
    });
    expect(await new Promise((resolve) => second.once("close", resolve))).toBe(1);
    expect(said).toMatch(/^sum: somebody listens at .*choose another path\n$/);
    device.kill("SIGTERM");
    expect(await exited).toBe(0);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
