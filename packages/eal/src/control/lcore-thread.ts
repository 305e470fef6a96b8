// The first thing that runs in an lcore's thread: the task file of the Piscina pool. Tasks are not bound to threads, so each
// task pins the thread it landed on to its lcore's CPUs, then imports the data module it was given and calls its function.
// A function that throws is reported as a value: a rejected task always means that the thread itself died.
import { workerData } from "node:worker_threads";
import { endSignals, setAffinity, setTimerSlack } from "@emudev/linux/data";
import { Arena, type ArenaHandle, Qsbr } from "@emudev/shm/data";
import { makeLcoreEnv } from "../data/env.ts";

/** What every thread of the pool is started with. */
export interface LcoreThreadData {
  arena: ArenaHandle;
  qsbr: number;
  /** Shared: threads that have come so far that they may be ended. */
  ready: Int32Array;
}

/** What goes to a thread with a task. */
export interface LcoreTask {
  id: number;
  index: number;
  off: number;
  cpus: number[];
  module: string;
  fn: string;
  arg: unknown;
}

/** What comes back. */
export type LcoreOutcome = { value: unknown } | { error: { name: string; message: string; stack: string } };

/** Nanoseconds: naps end when they are to. */
const TIMER_SLACK_NS = 1;

const { arena: handle, qsbr: qsbrOff, ready } = workerData as LcoreThreadData;
const arena = Arena.attach(handle);
const qsbr = new Qsbr(arena, qsbrOff);
setTimerSlack(TIMER_SLACK_NS);
// Behind the pool's import of this file: a thread that is ended while it loads modules or native code takes the process along
// (Node 24).
setImmediate(() => Atomics.add(ready, 0, 1));

export default async function run(task: LcoreTask): Promise<LcoreOutcome> {
  try {
    setAffinity(task.cpus);
    const module = (await import(task.module)) as Record<string, unknown>;
    const fn = module[task.fn];
    if (typeof fn !== "function") throw new TypeError(`${task.module} exports no function '${task.fn}'`);
    const env = makeLcoreEnv(arena, qsbr, task.id, task.index, task.off);
    return { value: await fn(env, task.arg) };
  } catch (error) {
    const { name, message, stack = "" } = error instanceof Error ? error : new Error(String(error));
    return { error: { name, message, stack } };
  } finally {
    endSignals(); // the pool ends the thread without telling it
  }
}
