// QSBR against a model that remembers every report, at the wrap of its tokens, and with real reader threads.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LCORE_MAX, QSBR_TOKEN, Qsbr } from "../src/index.ts";
import { makeArena, runThread } from "./support.ts";

const { arena } = makeArena();
let made = 0;
const makeQsbr = () => Qsbr.create(arena, `qsbr${made++}`);

describe("check", () => {
  test("holds at once without readers and with offline ones", () => {
    const qsbr = makeQsbr();
    expect(qsbr.check(qsbr.start())).toBe(true);
    qsbr.register(3);
    expect(qsbr.check(qsbr.start())).toBe(true);
    expect(qsbr.readers()).toEqual([{ thread: 3, token: 0 }]);
  });

  test("waits for a reader that was online before, not for one that came after", () => {
    const qsbr = makeQsbr();
    qsbr.register(0);
    qsbr.register(1);
    qsbr.online(0);
    const token = qsbr.start();
    qsbr.online(1);
    expect(qsbr.check(token)).toBe(false);
    qsbr.quiescent(0);
    expect(qsbr.check(token)).toBe(true);
  });

  test.each(["offline", "unregister"] as const)("a reader that goes %s lets go", (how) => {
    const qsbr = makeQsbr();
    qsbr.register(5);
    qsbr.online(5);
    const token = qsbr.start();
    qsbr[how](5);
    expect(qsbr.check(token)).toBe(true);
    expect(qsbr.readers()).toHaveLength(how === "offline" ? 1 : 0);
  });

  test("agrees with a model that remembers every report, across the wrap of tokens at 2^32", () => {
    const step = fc.record({
      op: fc.constantFrom("online", "offline", "quiescent", "start" as const),
      thread: fc.nat({ max: LCORE_MAX - 1 }),
    });
    const first = fc.oneof(fc.constant(1), fc.integer({ min: 2 ** 32 - 20, max: 2 ** 32 - 1 }));
    fc.assert(
      fc.property(first, fc.array(step, { maxLength: 150 }), (token, steps) => {
        const qsbr = makeQsbr();
        arena.u32[(qsbr.off + QSBR_TOKEN) >>> 2] = token;
        const waitedFor = new Map<number, Set<number>>();
        const online = new Set<number>();
        for (const { op, thread } of steps) {
          if (op === "start") {
            waitedFor.set(qsbr.start(), new Set(online));
          } else if (op !== "quiescent" || online.has(thread)) {
            qsbr[op](thread);
            if (op === "online") online.add(thread);
            if (op === "offline") online.delete(thread);
            for (const threads of waitedFor.values()) threads.delete(thread);
          }
          for (const [token, threads] of waitedFor) expect(qsbr.check(token)).toBe(threads.size === 0);
        }
        arena.memzoneFree(`QS_qsbr${made - 1}`);
      }),
    );
  });

  test("no token is 0, which means offline", () => {
    const qsbr = makeQsbr();
    arena.u32[(qsbr.off + QSBR_TOKEN) >>> 2] = 2 ** 32 - 2;
    expect([qsbr.start(), qsbr.start()]).toEqual([2 ** 32 - 1, 1]);
  });

  test.each([-1, LCORE_MAX, 0.5])("thread %d is refused", (thread) => {
    expect(() => makeQsbr().register(thread)).toThrow(RangeError);
  });
});

describe("synchronize", () => {
  test("keeps the event loop free while it waits, and names a late reader once", async () => {
    const qsbr = makeQsbr();
    qsbr.register(7);
    qsbr.online(7);
    const late: number[][] = [];
    let turns = 0;
    const timer = setInterval(() => turns++, 10);
    setTimeout(() => qsbr.quiescent(7), 1300);
    await qsbr.synchronize((threads) => late.push(threads));
    clearInterval(timer);
    expect(late).toEqual([[7]]);
    expect(turns).toBeGreaterThan(10);
  });

  test("no reader thread ever sees what was freed after it", async () => {
    const qsbr = makeQsbr();
    const slots = arena.memzoneReserve("slots", 64 * 64, 64).off;
    const pointer = arena.memzoneReserve("pointer", 64).off >>> 2;
    const stop = pointer + 1;
    const LIVE = 0x600d;
    const DEAD = 0xdead;
    arena.i32.fill(LIVE, slots >>> 2, (slots >>> 2) + 16);
    Atomics.store(arena.i32, pointer, slots);
    const readers = [1, 2, 3].map((thread) =>
      runThread<{ loops: number; dead: number }>("qsbr-thread.mjs", {
        handle: arena.handle,
        qsbrOff: qsbr.off,
        thread,
        pointer,
        stop,
        live: LIVE,
      }),
    );
    while (qsbr.readers().length < 3) await new Promise((done) => setTimeout(done, 1));
    for (let round = 1; round <= 300; round++) {
      const old = Atomics.load(arena.i32, pointer);
      const fresh = slots + 64 * (round % 64);
      arena.i32.fill(LIVE, fresh >>> 2, (fresh >>> 2) + 16);
      Atomics.store(arena.i32, pointer, fresh);
      await qsbr.synchronize();
      arena.i32.fill(DEAD, old >>> 2, (old >>> 2) + 16);
    }
    Atomics.store(arena.i32, stop, 1);
    const answers = await Promise.all(readers);
    expect(answers.map((answer) => answer.dead)).toEqual([0, 0, 0]);
    expect(answers.every((answer) => answer.loops > 300)).toBe(true);
    expect(qsbr.readers()).toEqual([]);
  });
});
