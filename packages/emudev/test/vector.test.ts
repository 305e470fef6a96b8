// The interrupt protocol over a real eventfd: armed and pending, ITR, the eventfd's life, and two threads at once.
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { makeLcoreEnv } from "@emudev/eal/data";
import { eventfd, eventfdRead, fdName, watch } from "@emudev/linux";
import { expect, test } from "vitest";
import { pollHeld, raiseVector } from "../src/data/index.ts";
import { VECTOR_BYTES, VECTOR_LAYOUT, Vector } from "../src/index.ts";
import { arena, qsbr } from "./support.ts";

let zones = 0;
const make = (): Vector => new Vector(arena, qsbr, arena.memzoneReserve(`vec${zones++}`, VECTOR_BYTES).off);
const lcoreWords = arena.memzoneReserve("lcore", 256);
const env = makeLcoreEnv(arena, qsbr, 1, 1, lcoreWords.off);
env.deadlineUs = Number.POSITIVE_INFINITY;

test("an armed vector fires once; raised again it stays pending and fires at the re-arm", async () => {
  const vector = make();
  const fd = eventfd();
  await vector.setFd(fd);
  vector.raise();
  expect(eventfdRead(fd)).toBe(0);
  vector.setArmed(true);
  expect(eventfdRead(fd)).toBe(1);
  expect([vector.armed, vector.pending, vector.fired]).toEqual([false, false, 1]);
  raiseVector(env, vector.off, 0);
  raiseVector(env, vector.off);
  expect(eventfdRead(fd)).toBe(0);
  expect(vector.pending).toBe(true);
  vector.setArmed(true);
  expect(eventfdRead(fd)).toBe(1);
  vector.setArmed(true);
  expect(eventfdRead(fd)).toBe(0);
  await vector.setFd(-1);
});

test("without an eventfd a vector stays armed and pending, and fires when it gets one", async () => {
  const vector = make();
  vector.setArmed(true);
  vector.raise();
  expect([vector.armed, vector.pending]).toEqual([true, true]);
  const fd = eventfd();
  await vector.setFd(fd);
  expect(eventfdRead(fd)).toBe(1);
  await vector.setFd(-1);
  expect(() => fdName(fd)).toThrow(/EBADF/);
});

test("the old eventfd stays open until every lcore has passed a quiescent state", async () => {
  const vector = make();
  const fd = eventfd();
  await vector.setFd(fd);
  qsbr.register(3);
  qsbr.online(3);
  const replaced = vector.setFd(-1);
  await sleep(5);
  expect(fdName(fd)).toMatch(/eventfd/);
  qsbr.quiescent(3);
  await replaced;
  expect(() => fdName(fd)).toThrow(/EBADF/);
  qsbr.unregister(3);
});

test("ITR holds the second interrupt until its deadline, for which the lcore stays awake", async () => {
  const vector = make();
  const fd = eventfd();
  await vector.setFd(fd);
  vector.setItr(20_000);
  vector.setArmed(true);
  raiseVector(env, vector.off);
  expect(eventfdRead(fd)).toBe(1);
  vector.setArmed(true);
  env.deadlineUs = Number.POSITIVE_INFINITY;
  raiseVector(env, vector.off);
  expect(eventfdRead(fd)).toBe(0);
  const wait = env.deadlineUs - env.nowUs();
  expect(wait).toBeGreaterThan(0);
  expect(wait).toBeLessThanOrEqual(20_000);
  env.deadlineUs = Number.POSITIVE_INFINITY;
  pollHeld(env, vector.off); // still held: asks for the deadline again
  expect(env.deadlineUs).toBeLessThan(Number.POSITIVE_INFINITY);
  while (env.nowUs() < env.deadlineUs) await sleep(1);
  pollHeld(env, vector.off);
  expect(eventfdRead(fd)).toBe(1);
  pollHeld(env, vector.off);
  expect(eventfdRead(fd)).toBe(0);
  await vector.setFd(-1);
});

test("what ITR holds back on the main thread is fired by a timer; the gap may come from a mapped register", async () => {
  const vector = make();
  const register = arena.memzoneReserve("itrn", 64).off;
  const fd = eventfd();
  await vector.setFd(fd);
  vector.setItrRegister(register);
  arena.u32[register >>> 2] = 0xffff0000 | 2500; // 5 ms; bits above the interval do not count
  vector.setArmed(true);
  vector.raise();
  vector.setArmed(true);
  vector.raise();
  expect(eventfdRead(fd)).toBe(1);
  expect(arena.i32[(vector.off + VECTOR_LAYOUT.VECTOR_HELD) >>> 2]).toBe(1);
  for (let i = 0; i < 200 && vector.fired < 2; i++) await sleep(1);
  expect([eventfdRead(fd), vector.fired]).toEqual([1, 2]);
  vector.reset();
  expect([vector.armed, vector.pending, vector.fd]).toEqual([false, false, fd]);
  await vector.setFd(-1);
});

test("no interrupt is lost between a thread that raises and one that re-arms", async () => {
  const vector = make();
  const fd = eventfd();
  await vector.setFd(fd);
  const seq = arena.memzoneReserve("seq", 64).off >>> 2;
  const events = 20_000;
  const workerData = {
    handle: arena.handle,
    qsbrOff: qsbr.off,
    lcoreOff: lcoreWords.off,
    vectorOff: vector.off,
    seqOff: seq << 2,
    events,
  };
  // What a guest's driver does: on an interrupt it looks at everything there is, then re-arms.
  const watcher = watch(fd, { readable: true }, () => {
    eventfdRead(fd);
    Atomics.store(arena.i32, seq + 1, Atomics.load(arena.i32, seq));
    Atomics.notify(arena.i32, seq + 1);
    vector.setArmed(true);
  });
  vector.setArmed(true);
  const worker = new Worker(new URL("./support/raise-thread.mjs", import.meta.url), { workerData });
  const failure = await new Promise((resolve) => {
    worker.on("error", resolve);
    worker.on("exit", () => resolve(null));
  });
  expect(failure).toBeNull();
  expect(arena.i32[seq + 1]).toBe(events);
  watcher.close();
  await vector.setFd(-1);
});
