// What the tests run on lcores; plain JavaScript, since a thread of Node 20 cannot load TypeScript.
import { readlinkSync } from "node:fs";
import { pollLoop } from "@emudev/eal/data";
import { getAffinity } from "@emudev/linux";
import { signalEventfd } from "@emudev/linux/data";

/** Polls; moves a packet whenever the word at arg.word is above 0, which it decrements; counts turns at arg.word + 4. */
export function main(env, arg) {
  const word = arg.word >>> 2;
  const { i32 } = env.arena;
  pollLoop(
    env,
    () => {
      Atomics.add(i32, word + 1, 1);
      if (arg.deadlineUs !== undefined) env.deadlineUs = env.nowUs() + arg.deadlineUs;
      if (Atomics.load(i32, word) <= 0) return 0;
      Atomics.sub(i32, word, 1);
      return 1;
    },
    () => arg.announced === true,
  );
  return { id: env.id, index: env.index, affinity: getAffinity(), thread: readlinkSync("/proc/thread-self") };
}

/** Never napping, never quiescent for arg.ms: an lcore that is stuck in a turn. */
export function stuck(env, arg) {
  let turns = 0;
  pollLoop(env, () => {
    if (turns++ === 0) {
      Atomics.store(env.arena.i32, arg.word >>> 2, 1);
      Atomics.wait(env.arena.i32, (arg.word >>> 2) + 1, 0, arg.ms);
    }
    return 1;
  });
  return turns;
}

/** Signals an eventfd, which takes something of the kernel's for the thread. */
export const signal = (_env, fd) => signalEventfd(fd);
export const double = async (_env, arg) => arg * 2;
export const clock = (env) => env.nowUs();
export function scribble(env, arg) {
  env.arena.u32.fill(arg, env.scratch >>> 2, (env.scratch >>> 2) + 16384);
  return env.scratch;
}
export function fail() {
  throw new RangeError("too far");
}
export function die() {
  process.exit(3);
}
