// Files that are truncated under a mapping, in processes of their own: without the guard the first touch is the end, with
// it the range reads 0, is counted, and everything else that raises SIGBUS still kills.

import { execFile } from "node:child_process";
import { describe, expect, test } from "vitest";

const linux = new URL("../dist/index.js", import.meta.url).href;
/** Exports copy(to, from, bytes) over a memory that it imports. */
const WASM = [
  ..."\0asm".split("").map((c) => c.charCodeAt(0)),
  ...[1, 0, 0, 0, 1, 7, 1, 0x60, 3, 0x7f, 0x7f, 0x7f, 0, 2, 13, 1, 3, 0x65, 0x6e, 0x76, 1, 0x6d, 2, 3],
  ...[0x80, 2, 0x80, 2, 3, 2, 1, 0, 7, 8, 1, 4, 0x63, 0x6f, 0x70, 0x79, 0, 0],
  ...[10, 14, 1, 12, 0, 0x20, 0, 0x20, 1, 0x20, 2, 0xfc, 10, 0, 0, 0x0b],
];
const PRELUDE = `
const { addressOf, closeFd, mapShared, memfdCreate, PROT, sigbusGuard } = await import(${JSON.stringify(linux)});
const { ftruncateSync } = await import("node:fs");
const { once } = await import("node:events");
const { Worker } = await import("node:worker_threads");
const MIB = 1 << 20;
const memory = new WebAssembly.Memory({ initial: 256, maximum: 256, shared: true });
const u8 = new Uint8Array(memory.buffer);
const base = addressOf(u8);
const code = Uint8Array.from(${JSON.stringify(WASM)});
function map(at) {
  const fd = memfdCreate("victim", MIB);
  mapShared(base + at, MIB, PROT.READ | PROT.WRITE, fd, 0);
  u8[at] = 7;
  u8[at + MIB - 1] = 9;
  return fd;
}
const copyInWorker = async (to, from, bytes) => {
  const source = \`import { workerData } from "node:worker_threads";
    const { code, memory, to, from, bytes } = workerData;
    new WebAssembly.Instance(new WebAssembly.Module(code), { env: { m: memory } }).exports.copy(to, from, bytes);\`;
  await once(new Worker(source, { eval: true, workerData: { code, memory, to, from, bytes } }), "exit");
};
`;

/** Runs a script and tells how it ended: its output, or the signal. */
function run(script: string): Promise<{ out: string; signal: string | null }> {
  return new Promise((done) => {
    const args = ["--input-type=module", "-e", PRELUDE + script];
    execFile(process.execPath, args, { encoding: "utf8" }, (error, stdout, stderr) => {
      done({ out: stdout.trim() + (error?.signal ? "" : stderr), signal: error?.signal ?? null });
    });
  });
}

describe("without the guard", () => {
  test("a touch of a lost page is the end", async () => {
    expect(await run("ftruncateSync(map(MIB), 0); console.log(u8[MIB]);")).toEqual({ out: "", signal: "SIGBUS" });
  });
});

describe("with the guard", () => {
  test("JavaScript reads 0 and goes on; another range keeps its contents", async () => {
    const { out, signal } = await run(`
      const guard = sigbusGuard();
      const lost = guard.add(base + MIB, MIB), kept = guard.add(base + 3 * MIB, MIB);
      const fd = map(MIB); map(3 * MIB);
      ftruncateSync(fd, 4096);
      const first = u8[MIB], beyond = u8[MIB + 8192], after = u8[MIB];
      u8[MIB + 5000] = 3;
      console.log(first, beyond, after, u8[MIB + 5000], lost.hits(), u8[3 * MIB], u8[4 * MIB - 1], kept.hits());`);
    expect({ out, signal }).toEqual({ out: "7 0 0 3 1 7 9 0", signal: null });
  });

  test("so does a wasm kernel on another thread, in the middle of a copy", async () => {
    const { out, signal } = await run(`
      const range = sigbusGuard().add(base + MIB, MIB);
      const fd = map(MIB);
      u8.fill(1, 4 * MIB, 5 * MIB);
      ftruncateSync(fd, MIB / 2);
      await copyInWorker(MIB, 4 * MIB, MIB);
      await copyInWorker(6 * MIB, MIB, MIB);
      console.log(u8[2 * MIB - 1], u8[7 * MIB - 1], range.hits());`);
    expect({ out, signal }).toEqual({ out: "1 1 1", signal: null });
  });

  test("a range that is no longer guarded, memory elsewhere, and a signal that is sent still kill", async () => {
    const guarded = "const range = sigbusGuard().add(base + MIB, MIB);";
    expect(await run(`${guarded} ftruncateSync(map(3 * MIB), 0); console.log(u8[3 * MIB]);`)).toMatchObject({
      signal: "SIGBUS",
    });
    expect(await run(`${guarded} range.remove(); ftruncateSync(map(MIB), 0); console.log(u8[MIB]);`)).toMatchObject({
      signal: "SIGBUS",
    });
    const sent = `${guarded} process.kill(process.pid, "SIGBUS"); setTimeout(() => console.log("alive"), 2000);`;
    expect(await run(sent)).toEqual({ out: "", signal: "SIGBUS" });
  });

  test("places are used again", async () => {
    const { out } = await run(`
      const guard = sigbusGuard();
      for (let i = 0; i < 100_000; i++) guard.add(base + MIB, MIB).remove();
      const range = guard.add(base + MIB, MIB);
      ftruncateSync(map(MIB), 0);
      console.log(u8[MIB], range.hits(), sigbusGuard() === guard);`);
    expect(out).toBe("0 1 true");
  });
});

describe("the guard's table", () => {
  test("covers, after each of its stores, nothing but what was asked for, also where an entry is used again", async () => {
    const { out, signal } = await run(`
      const store = Atomics.store;
      let stray = 0, seen = 0;
      const low = BigInt(base), high = BigInt(base + 16 * MIB);
      Atomics.store = (table, at, value) => {
        const result = store(table, at, value);
        for (let entry = 4; entry < 4 + 4 * 4; entry += 4) {
          if (table[entry + 1] <= table[entry]) continue;
          seen++;
          if (table[entry] < low || table[entry + 1] > high) stray++;
        }
        return result;
      };
      const guard = sigbusGuard();
      const first = guard.add(base + MIB, MIB);
      first.remove();
      const second = guard.add(base + 3 * MIB, MIB);
      guard.add(base + 5 * MIB, MIB);
      second.remove();
      console.log(seen > 0, stray);`);
    expect({ out, signal }).toEqual({ out: "true 0", signal: null });
  });
});
