// A guest that writes anything anywhere: registers, doorbells, queues full of random commands that point at themselves. The
// device answers every access, reports no fault of its own, touches no memory but what it was lent, and after a reset serves
// a driver that behaves.
import { readFileSync } from "node:fs";
import { fdCount } from "@emudev/linux";
import { SILENT } from "@emudev/vfio-user";
import fc from "fast-check";
import { expect, test } from "vitest";
import { nvmeDevice } from "../../src/nvme/device.ts";
import { MemoryStore } from "../../src/nvme/store.ts";
import { Driver, IOVA, MEMORIES, MEMORY, newPath, PAGE, settled } from "./driver.ts";

const REGISTERS = [0x0c, 0x10, 0x14, 0x14, 0x14, 0x1c, 0x20, 0x24, 0x28, 0x2c, 0x30, 0x34, 0xffc];
const CC = [0, 1, 0x0046_0001, 0x0046_0001, 0x0046_4001, 0x0046_8000, 0xffff_ffff];

const address = fc.oneof(
  fc.nat(MEMORY / PAGE - 1).map((page) => IOVA + page * PAGE),
  fc.nat(MEMORY).map((at) => IOVA + at),
  fc.constantFrom(0, IOVA - PAGE, IOVA + MEMORY, 2 ** 63),
);
const word = fc.oneof(fc.nat(8), fc.constantFrom(...CC), fc.nat(0xffff), fc.integer({ min: 0, max: 0xffff_ffff }));
const command = fc.record({
  opcode: fc.oneof(fc.nat(0x0c), fc.nat(0xff)),
  flags: fc.oneof({ weight: 9, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(0xff) }),
  nsid: fc.oneof({ weight: 5, arbitrary: fc.constant(1) }, { weight: 1, arbitrary: word }),
  prp1: address,
  prp2: address,
  w10: word,
  w11: word,
  w12: fc.oneof(fc.nat(0x3ff), word),
});
const step = fc.oneof(
  fc.record({ kind: fc.constant("register" as const), offset: fc.constantFrom(...REGISTERS), value: word }),
  fc.record({ kind: fc.constant("doorbell" as const), offset: fc.nat(20), value: fc.oneof(fc.nat(20), word) }),
  fc.record({
    kind: fc.constant("commands" as const),
    queue: fc.nat(2),
    commands: fc.array(command, { maxLength: 12 }),
  }),
  fc.record({ kind: fc.constant("odd" as const), offset: fc.nat(0x3fff), bytes: fc.uint8Array({ maxLength: 9 }) }),
  fc.constant({ kind: "enable" as const }),
);

test.each(MEMORIES)("whatever a guest does, the device goes on ($memory)", async ({ memory }) => {
  const faults: string[] = [];
  const log = { ...SILENT, error: (line: string) => void faults.push(line) };
  const store = new MemoryStore(1 << 20);
  const device = nvmeDevice({ store, log, queues: 2 });
  const path = newPath();
  await device.listen(path);
  const before = fdCount();
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const driver = await Driver.connect(path, memory);
      await driver.enable();
      for (const id of [1, 2]) await driver.makeQueues(id, 16, 0);
      for (const one of steps) {
        if (one.kind === "register") await driver.write32(one.offset, one.value);
        else if (one.kind === "doorbell") await driver.write32(0x1000 + 4 * one.offset, one.value);
        else if (one.kind === "odd") {
          const room = 0x4000 - one.offset;
          await driver.client.regionWrite(0, one.offset, one.bytes.subarray(0, room));
        } else if (one.kind === "enable") {
          await driver.disable();
          await driver.enable();
          for (const id of [1, 2]) await driver.makeQueues(id, 16, 0);
        } else {
          for (const words of one.commands) driver.put(one.queue, words);
          await driver.ring(one.queue);
        }
      }
      await driver.client.reset();
      await driver.client.regionWrite(7, 4, Uint8Array.of(6, 0));
      await settled();
      await driver.enable();
      await driver.makeQueues(1);
      expect((await driver.readBlocks(1, 0, 8, driver.alloc(PAGE))).status).toBe(0);
      driver.close();
      await settled();
    }),
    { numRuns: 30 },
  );
  await device.close();
  expect(faults).toEqual([]);
  expect(fdCount()).toBeLessThanOrEqual(before);
  expect(readFileSync("/proc/self/maps", "utf8")).not.toMatch(/memfd:driver|emudev-nvme-/);
});
