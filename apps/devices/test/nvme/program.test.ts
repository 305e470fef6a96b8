// The program as a user starts it: sizes, a file that keeps the blocks from one start to the next, an orderly end.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { FileStore } from "../../src/nvme/file-store.ts";
import { Driver, newPath, PAGE, pattern } from "./driver.ts";

const program = join(import.meta.dirname, "../../dist/nvme/main.js");
const children: ChildProcess[] = [];

function start(args: readonly string[]) {
  const child = spawn(process.execPath, [program, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  children.push(child);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (data: Buffer) => (output += data));
  const ended = once(child, "close").then(([code]) => ({ code, output }));
  return { child, ended };
}

afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

test("a disk in a file keeps what was written; the program ends in order and tells what it did", async () => {
  const path = newPath();
  const file = `${path}.img`;
  for (const round of [0, 1]) {
    const { child, ended } = start([path, "--file", file, ...(round === 0 ? ["--size", "1M"] : [])]);
    const driver = await Driver.connect(path);
    await driver.enable();
    await driver.makeQueues(1);
    const data = driver.alloc(PAGE);
    if (round === 0) {
      driver.at(data, PAGE).set(pattern(PAGE, 5));
      await driver.writeBlocks(1, 8, 8, data);
      await driver.good(1, { opcode: 0x00, nsid: 1 });
      await driver.good(1, { opcode: 0x08, nsid: 1, w10: 15, w12: 600 });
    } else {
      await driver.readBlocks(1, 8, 8, data);
      expect(Buffer.compare(driver.at(data, 3584), pattern(PAGE, 5).subarray(0, 3584))).toBe(0);
      expect(driver.at(data + 3584, 512).every((byte) => byte === 0)).toBe(true);
    }
    driver.close();
    child.kill("SIGTERM");
    const { code, output } = await ended;
    expect(code).toBe(0);
    expect(output).toContain(`nvme: 1 MiB at ${path}`);
    const told = JSON.parse(/^nvme: (\{.*\})$/m.exec(output)?.[1] ?? "{}");
    expect(told).toMatchObject(round === 0 ? { writes: 1, flushes: 1, bytesWritten: 4096, errors: 0 } : { reads: 1 });
  }
  expect(Buffer.compare(readFileSync(file).subarray(4096, 7680), pattern(PAGE, 5).subarray(0, 3584))).toBe(0);
  expect(() => new FileStore(file, 4096)).toThrow(/never cut/);
  rmSync(file);
});

test("what is not understood is said, with the usage", async () => {
  const wrong = [[], ["/tmp/a", "/tmp/b"], ["/tmp/a", "--size", "12Q"], ["/tmp/a", "--queues", "0"], ["/tmp/a", "--x"]];
  const ends = await Promise.all(wrong.map((args) => start(args).ended));
  expect(ends.map(({ code }) => code)).toEqual(wrong.map(() => 2));
  for (const { output } of ends) expect(output).toContain("usage: ");
});
