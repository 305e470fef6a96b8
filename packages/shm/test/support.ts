// Shared by the tests of this package: an arena, a scratch array of objects in it, and worker threads that attach to it.
import { Worker } from "node:worker_threads";
import { Arena } from "../src/index.ts";

export const SCRATCH_OBJS = 4096;

/** An arena with a u32 array of SCRATCH_OBJS objects at `objs`. */
export function makeArena(ownBytes = 64 * 2 ** 20): { arena: Arena; objs: number } {
  const arena = Arena.create({ ownBytes });
  return { arena, objs: arena.memzoneReserve("scratch", 4 * SCRATCH_OBJS).off };
}

export function writeObjs(arena: Arena, objs: number, values: readonly number[]): void {
  arena.u32.set(values, objs >>> 2);
}

export function readObjs(arena: Arena, objs: number, n: number): number[] {
  return [...arena.u32.subarray(objs >>> 2, (objs >>> 2) + n)];
}

/** Runs fixtures/<file> in a thread to its end; resolves with what it posted last. */
export function runThread<T>(file: string, workerData: unknown): Promise<T> {
  const worker = new Worker(new URL(`fixtures/${file}`, import.meta.url), { workerData });
  return new Promise((resolve, reject) => {
    let answer: T;
    worker.on("message", (message: T) => {
      answer = message;
    });
    worker.on("error", reject);
    worker.on("exit", (code) => (code === 0 ? resolve(answer) : reject(new Error(`${file} ended with ${code}`))));
  });
}
