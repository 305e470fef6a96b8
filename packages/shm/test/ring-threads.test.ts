// Rings between real threads: nothing lost, nothing twice, each producer's order kept (fixtures/ring-thread.mjs).
import { expect, test } from "vitest";
import {
  RING_CONS_HEAD,
  RING_CONS_TAIL,
  RING_F_SC_DEQ,
  RING_F_SP_ENQ,
  RING_PROD_HEAD,
  RING_PROD_TAIL,
  Ring,
} from "../src/index.ts";
import { makeArena, runThread } from "./support.ts";

const { arena } = makeArena();
const EACH = 50_000;

test.each([
  { name: "SP/SC burst", flags: RING_F_SP_ENQ | RING_F_SC_DEQ, producers: 1, consumers: 1, bulk: false },
  { name: "MP/MC burst", flags: 0, producers: 3, consumers: 3, bulk: false },
  { name: "MP/MC bulk", flags: 0, producers: 2, consumers: 2, bulk: true },
  { name: "MP/SC burst", flags: RING_F_SC_DEQ, producers: 3, consumers: 1, bulk: false },
  { name: "SP/MC burst", flags: RING_F_SP_ENQ, producers: 1, consumers: 3, bulk: false },
])("$name: every object arrives once, in its producer's order", async ({ name, flags, producers, consumers, bulk }) => {
  const ring = Ring.create(arena, name, 128, flags);
  const takenOff = arena.memzoneReserve(`${name} taken`, 64).off;
  const threads = producers + consumers;
  const objs = arena.memzoneReserve(`${name} objs`, threads * 256).off;
  const common = { handle: arena.handle, ringOff: ring.off, takenOff, bulk };
  const answers = await Promise.all(
    Array.from({ length: threads }, (_, id) => {
      const producer = id < producers;
      const work = { role: producer ? "producer" : "consumer", id, total: producer ? EACH : EACH * producers };
      return runThread<{ taken: number; sum: number; disorder: number }>("ring-thread.mjs", {
        ...common,
        ...work,
        objs: objs + id * 256,
      });
    }),
  );
  const took = answers.slice(producers);
  expect(took.map((answer) => answer.disorder)).toEqual(took.map(() => 0));
  expect(took.reduce((sum, answer) => sum + answer.taken, 0)).toBe(EACH * producers);
  expect(took.reduce((sum, answer) => sum + answer.sum, 0)).toBe((producers * EACH * (EACH + 1)) / 2);
  expect(ring.empty()).toBe(true);
});

test.each([
  { side: "producer", head: RING_PROD_HEAD, tail: RING_PROD_TAIL },
  { side: "consumer", head: RING_CONS_HEAD, tail: RING_CONS_TAIL },
])("a $side waits for one that reserved before it and has yet to publish", async ({ side, head, tail }) => {
  const ring = Ring.create(arena, `slow ${side}`, 8);
  if (side === "consumer") for (const obj of [1, 2, 3]) ring.enqueue(obj);
  arena.u32[(ring.off + head) >>> 2]! += 1;
  // The slow thread publishes 200 ms after it has come up; this thread is stuck in the call until then.
  const slow = runThread("slow-thread.mjs", { handle: arena.handle, word: (ring.off + tail) >>> 2 });
  if (side === "producer") expect(ring.enqueue(5)).toBe(true);
  else expect(ring.dequeue()).toBe(2);
  expect(arena.u32[(ring.off + tail) >>> 2]).toBe(2);
  await slow;
  ring.free();
});
