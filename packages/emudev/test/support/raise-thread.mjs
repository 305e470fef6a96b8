// The other thread of the interrupt stress test: announces one event after another, raises the vector for each, and goes on
// only when the main thread has seen it. Plain JavaScript, since a worker imports it as it is.
import { workerData } from "node:worker_threads";
import { makeLcoreEnv } from "@emudev/eal/data";
import { raiseVector } from "@emudev/emudev/data";
import { Arena, Qsbr } from "@emudev/shm/data";

const { handle, qsbrOff, lcoreOff, vectorOff, seqOff, events } = workerData;
const arena = Arena.attach(handle);
const env = makeLcoreEnv(arena, new Qsbr(arena, qsbrOff), 1, 1, lcoreOff);
const seq = seqOff >>> 2;
for (let event = 1; event <= events; event++) {
  Atomics.store(arena.i32, seq, event);
  raiseVector(env, vectorOff);
  // Until the event is seen; 5 s mean that its interrupt was lost.
  for (let seen = Atomics.load(arena.i32, seq + 1); seen !== event; seen = Atomics.load(arena.i32, seq + 1))
    if (Atomics.wait(arena.i32, seq + 1, seen, 5000) === "timed-out") throw new Error(`interrupt ${event} was lost`);
}
