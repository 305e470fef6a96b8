// The interrupt registers over real vectors and eventfds: when INTENA fires, what each bit of a DYN_CTL write does, and what
// reads back.
import {
  DYN_CTL_CLEARPBA,
  DYN_CTL_INTENA,
  DYN_CTL_INTENA_MSK,
  DYN_CTL_INTERVAL_SHIFT,
  DYN_CTL_SWINT_TRIG,
  DYN_CTL_WB_ON_ITR,
  ICR0_ADMINQ,
  ICR0_LINK_STAT_CHANGE,
} from "@emudev/avf";
import { VECTOR_BYTES } from "@emudev/emudev";
import { eventfd, eventfdRead } from "@emudev/linux";
import { Arena, Qsbr } from "@emudev/shm";
import { beforeEach, expect, test } from "vitest";
import { Interrupts } from "../src/control/interrupts.ts";

const arena = Arena.create({ ownBytes: 1 << 20 });
const qsbr = Qsbr.create(arena, "qsbr");
const { off } = arena.memzoneReserve("vectors", 3 * VECTOR_BYTES);
const NO_ITR = 3 << 3;
const fds = [eventfd(), eventfd(), eventfd()];
const fired = (vector: number) => eventfdRead(fds[vector]!);

let intervals: string[];
let interrupts: Interrupts;

beforeEach(async () => {
  intervals = [];
  interrupts = new Interrupts(arena, qsbr, off, 3, (vector, index, interval) => {
    intervals.push(`vector ${vector} ITR ${index} = ${interval}`);
  });
  await interrupts.setFds(0, fds);
  for (const fd of fds) eventfdRead(fd);
});

test("a cause fires vector 0 when it is enabled in ICR0_ENA1 and the vector is armed, once", () => {
  interrupts.cause(ICR0_ADMINQ);
  interrupts.writeDynCtl(0, DYN_CTL_INTENA | NO_ITR);
  expect(fired(0)).toBe(0);
  interrupts.writeIcr0Ena(ICR0_ADMINQ);
  expect(fired(0)).toBe(1);
  interrupts.cause(ICR0_ADMINQ);
  interrupts.cause(ICR0_ADMINQ);
  expect(fired(0)).toBe(0);
  interrupts.writeDynCtl(0, DYN_CTL_INTENA | NO_ITR);
  expect(fired(0)).toBe(1);
  interrupts.writeDynCtl(0, DYN_CTL_INTENA | NO_ITR);
  expect(fired(0)).toBe(0);
});

test("a cause that is not enabled is only recorded; reading ICR01 clears it", () => {
  interrupts.writeIcr0Ena(ICR0_ADMINQ);
  interrupts.writeDynCtl(0, DYN_CTL_INTENA | NO_ITR);
  interrupts.cause(ICR0_LINK_STAT_CHANGE);
  expect(fired(0)).toBe(0);
  expect(interrupts.readIcr0()).toBe(ICR0_LINK_STAT_CHANGE);
  expect(interrupts.readIcr0()).toBe(0);
});

test("INTENA is auto-cleared, and reads back as it is", () => {
  interrupts.writeDynCtl(1, DYN_CTL_INTENA | DYN_CTL_WB_ON_ITR | NO_ITR);
  expect(interrupts.readDynCtl(1)).toBe((DYN_CTL_INTENA | DYN_CTL_WB_ON_ITR | NO_ITR) >>> 0);
  interrupts.vectors[1]!.raise();
  expect(fired(1)).toBe(1);
  expect(interrupts.readDynCtl(1) & DYN_CTL_INTENA).toBe(0);
});

test("SWINT_TRIG fires an armed vector at once, and waits in one that is not; it does not read back", () => {
  interrupts.writeDynCtl(1, DYN_CTL_INTENA | DYN_CTL_SWINT_TRIG | NO_ITR);
  expect(fired(1)).toBe(1);
  interrupts.writeDynCtl(1, DYN_CTL_SWINT_TRIG | NO_ITR);
  expect(fired(1)).toBe(0);
  expect(interrupts.readDynCtl(1)).toBe(NO_ITR);
  interrupts.writeDynCtl(1, DYN_CTL_INTENA | NO_ITR);
  expect(fired(1)).toBe(1);
});

test("INTENA_MSK leaves INTENA alone", () => {
  interrupts.writeDynCtl(1, DYN_CTL_INTENA | NO_ITR);
  interrupts.writeDynCtl(1, DYN_CTL_INTENA_MSK | NO_ITR);
  interrupts.vectors[1]!.raise();
  expect(fired(1)).toBe(1);
  interrupts.writeDynCtl(1, DYN_CTL_INTENA_MSK | DYN_CTL_INTENA | NO_ITR);
  expect(interrupts.readDynCtl(1) & DYN_CTL_INTENA).toBe(0);
});

test("CLEARPBA drops what is pending, but not when the same write enables the vector", () => {
  interrupts.vectors[1]!.raise();
  interrupts.writeDynCtl(1, DYN_CTL_CLEARPBA | NO_ITR);
  interrupts.writeDynCtl(1, DYN_CTL_INTENA | NO_ITR);
  expect(fired(1)).toBe(0);
  interrupts.writeDynCtl(1, NO_ITR);
  interrupts.vectors[1]!.raise();
  interrupts.writeDynCtl(1, DYN_CTL_INTENA | DYN_CTL_CLEARPBA | NO_ITR);
  expect(fired(1)).toBe(1);
});

test("an interval goes to the ITR register that the write names, none for index 3", () => {
  interrupts.writeDynCtl(2, DYN_CTL_INTENA | (1 << 3) | (63 << DYN_CTL_INTERVAL_SHIFT));
  interrupts.writeDynCtl(2, DYN_CTL_INTENA | NO_ITR | (99 << DYN_CTL_INTERVAL_SHIFT));
  expect(intervals).toEqual(["vector 2 ITR 1 = 63"]);
  interrupts.writeDynCtl(0, (2 << 3) | (5 << DYN_CTL_INTERVAL_SHIFT));
  expect([...interrupts.itr0]).toEqual([0, 0, 5]);
});

test("a reset disarms everything and forgets causes; the eventfds stay", () => {
  interrupts.writeIcr0Ena(ICR0_ADMINQ);
  interrupts.writeDynCtl(0, DYN_CTL_INTENA | DYN_CTL_WB_ON_ITR | NO_ITR);
  interrupts.vectors[1]!.raise();
  interrupts.cause(ICR0_LINK_STAT_CHANGE);
  interrupts.reset();
  expect([interrupts.readIcr0(), interrupts.icr0Ena, interrupts.readDynCtl(0), interrupts.readDynCtl(1)]).toEqual([
    0, 0, 0, 0,
  ]);
  interrupts.writeDynCtl(1, DYN_CTL_INTENA | NO_ITR);
  expect(fired(1)).toBe(0);
  expect(interrupts.vectors.map(({ fd }) => fd)).toEqual(fds);
});

test("a write to a vector that there is not has no effect", () => {
  interrupts.writeDynCtl(16, DYN_CTL_INTENA | DYN_CTL_SWINT_TRIG);
  expect(interrupts.readDynCtl(16)).toBe(0);
});
