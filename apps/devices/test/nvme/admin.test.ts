// The controller from its registers to its admin commands, as a driver meets it: reset and ready, identify, queues, features,
// log pages, events, shutdown. Offsets and codes are the specification's (NVM Express 1.4).
import { expect, test } from "vitest";
import { PAGE, settled, withDisk } from "./driver.ts";

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1").trimEnd();

test("registers: capabilities, ready by enable, and back", () =>
  withDisk({}, async (driver) => {
    const low = await driver.read32(0);
    const high = await driver.read32(4);
    expect(low & 0xffff).toBe(1023); // MQES, from 0
    expect((low >>> 16) & 1).toBe(1); // CQR
    expect(low >>> 24).toBeGreaterThan(0); // TO
    expect(high & 0xf).toBe(0); // DSTRD
    expect((high >>> 5) & 1).toBe(1); // the NVM command set
    expect((high >>> 16) & 0xf).toBe(0); // pages of 4 KiB
    expect(await driver.read32(8)).toBe(0x10400);
    expect(await driver.read32(0x1c)).toBe(0);
    await driver.enable();
    expect(await driver.read32(0x1c)).toBe(1);
    await driver.write32(0, 0);
    await driver.write32(0x1c, 0xff);
    expect([await driver.read32(0), await driver.read32(0x1c)]).toEqual([low, 1]);
    await driver.disable();
    expect(await driver.read32(0x1c)).toBe(0);
    await driver.enable();
  }));

test("read in halves, bytes and whole, a register is the same", () =>
  withDisk({}, async (driver) => {
    const whole = await driver.client.regionRead(0, 0, 8);
    const bytes = await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map((at) => driver.client.regionRead(0, at, 1)));
    expect(bytes.map(([byte]) => byte)).toEqual([...whole]);
    await driver.client.regionWrite(0, 0x28, Uint8Array.of(0, 0x10, 0, 0, 5, 0, 0, 0));
    expect([await driver.read32(0x28), await driver.read32(0x2c)]).toEqual([0x1000, 5]);
  }));

test("a controller that cannot be enabled says so by CFS, until it is disabled", () =>
  withDisk({}, async (driver) => {
    for (const cc of [0x0046_0801, 0x0046_0011, 0x0046_0281, 0x0047_0001, 0x0036_0001]) {
      await driver.configure(16, cc);
      expect([cc, await driver.read32(0x1c)]).toEqual([cc, 2]);
      await driver.disable();
      expect(await driver.read32(0x1c)).toBe(0);
    }
    await driver.configure(1);
    expect(await driver.read32(0x1c)).toBe(2);
    await driver.disable();
    await driver.enable();
  }));

test("identify: controller, namespace, lists", () =>
  withDisk({ serial: "S/N 42" }, async (driver) => {
    await driver.enable();
    const page = driver.alloc(PAGE);
    const view = driver.viewAt(page, PAGE);
    const identify = (cns: number, nsid = 0) => driver.run(0, { opcode: 0x06, nsid, prp1: page, w10: cns });
    await identify(1);
    expect(text(driver.at(page + 4, 20))).toBe("S/N 42");
    expect(text(driver.at(page + 24, 40))).toMatch(/NVMe/);
    expect(view.getUint8(77)).toBe(7); // MDTS: 512 KiB
    expect(view.getUint32(80, true)).toBe(0x10400);
    expect([view.getUint8(512), view.getUint8(513)]).toEqual([0x66, 0x44]);
    expect(view.getUint32(516, true)).toBe(1);
    expect(view.getUint8(525) & 1).toBe(1); // a write cache
    expect(text(driver.at(page + 768, 256)).replace(/\0.*/s, "")).toMatch(
      /^nqn\.2014-08\.org\.nvmexpress:uuid:[0-9a-f-]{36}$/,
    );
    await identify(0, 1);
    expect([0, 8, 16].map((at) => view.getBigUint64(at, true))).toEqual([16384n, 16384n, 16384n]);
    expect(view.getUint32(128, true)).toBe(9 << 16);
    await identify(2, 0);
    expect([view.getUint32(0, true), view.getUint32(4, true)]).toEqual([1, 0]);
    await identify(2, 1);
    expect(view.getUint32(0, true)).toBe(0);
    await identify(3, 1);
    expect([view.getUint8(0), view.getUint8(1), view.getUint8(20)]).toEqual([3, 16, 0]);
    expect((await identify(0, 2)).status).toBe(0x0b);
    expect((await identify(2, 0xffff_ffff)).status).toBe(0x0b);
    expect(await identify(0x77)).toMatchObject({ status: 0x02, dnr: true });
    expect((await driver.run(0, { opcode: 0x7f })).status).toBe(0x01);
  }));

test("two disks of one serial number have one name, of two they have two", async () => {
  const names: string[] = [];
  for (const serial of ["A", "A", "B"]) {
    await withDisk({ serial }, async (driver) => {
      await driver.enable();
      const page = driver.alloc(PAGE);
      await driver.good(0, { opcode: 0x06, nsid: 1, prp1: page, w10: 3 });
      names.push(Buffer.from(driver.at(page + 4, 16)).toString("hex"));
    });
  }
  expect(names[0]).toBe(names[1]);
  expect(names[0]).not.toBe(names[2]);
});

test("queues: what cannot be made or deleted is told with the specification's status", () =>
  withDisk({ queues: 4 }, async (driver) => {
    await driver.enable();
    expect(await driver.good(0, { opcode: 0x09, w10: 7, w11: 0x0009_0009 })).toBe(0x0003_0003);
    const page = driver.alloc(64 << 10);
    const cq = (id: number, size: number, w11 = 1, prp1 = page) =>
      driver.run(0, { opcode: 0x05, prp1, w10: (size << 16) | id, w11 }).then(({ status }) => status);
    const sq = (id: number, size: number, cqid: number, pc = 1) =>
      driver.run(0, { opcode: 0x01, prp1: page, w10: (size << 16) | id, w11: (cqid << 16) | pc }).then((c) => c.status);
    const remove = (opcode: number, id: number) => driver.run(0, { opcode, w10: id }).then(({ status }) => status);
    expect([await cq(0, 7), await cq(5, 7), await cq(0xffff, 7)]).toEqual([0x101, 0x101, 0x101]);
    expect([await cq(1, 0), await cq(1, 1024)]).toEqual([0x102, 0x102]);
    expect(await cq(1, 7, 0)).toBe(0x02); // not contiguous
    expect(await cq(1, 7, 1, page + 8)).toBe(0x13);
    expect(await cq(1, 7, (5 << 16) | 3)).toBe(0x108); // vector 5 of 0 to 4
    expect([await cq(1, 7), await cq(1, 7)]).toEqual([0, 0x101]);
    expect([await sq(1, 7, 0), await sq(1, 7, 9), await sq(1, 7, 2)]).toEqual([0x101, 0x101, 0x100]);
    expect([await sq(1, 7, 1), await sq(1, 7, 1), await sq(2, 7, 1)]).toEqual([0, 0x101, 0]);
    expect((await driver.run(0, { opcode: 0x09, w10: 7, w11: 1 })).status).toBe(0x0c);
    expect([await remove(0x04, 0), await remove(0x04, 1), await remove(0x04, 3)]).toEqual([0x101, 0x10c, 0x101]);
    expect([await remove(0x00, 0), await remove(0x00, 1), await remove(0x00, 1)]).toEqual([0x101, 0, 0x101]);
    expect([await remove(0x00, 2), await remove(0x04, 1)]).toEqual([0, 0]);
    expect([await cq(1, 1023), await sq(1, 1, 1)]).toEqual([0, 0]);
  }));

test("features: told, changed, gone with a reset", () =>
  withDisk({}, async (driver) => {
    await driver.enable();
    const get = (id: number, w11 = 0) => driver.run(0, { opcode: 0x0a, w10: id, w11 });
    const set = (id: number, w11: number) => driver.run(0, { opcode: 0x09, w10: id, w11 });
    expect(await get(0x06)).toMatchObject({ status: 0, result: 1 });
    expect((await set(0x06, 0)).status).toBe(0);
    expect((await get(0x06)).result).toBe(0);
    expect((await set(0x0b, 0x1ff)).status).toBe(0);
    expect((await get(0x0b)).result).toBe(0x1ff);
    expect((await set(0x04, 0x0010_0123)).status).toBe(0);
    expect([(await get(0x04, 0x0010_0000)).result, (await get(0x04)).result]).toEqual([0x123, 0xffff]);
    expect([(await set(0x02, 3)).status, (await set(0x09, 77)).status, (await get(0x55)).status]).toEqual([2, 2, 2]);
    expect((await set(0x8000_0006, 0)).status).toBe(0x10d);
    expect((await set(0x07, 0xffff)).status).toBe(2);
    await driver.disable();
    await driver.enable();
    expect((await get(0x06)).result).toBe(1);
  }));

test("log pages: errors are kept, parts can be read", () =>
  withDisk({}, async (driver) => {
    await driver.enable();
    const page = driver.alloc(PAGE);
    const bad = await driver.run(0, { opcode: 0x7f, nsid: 9 });
    const log = (id: number, dwords: number, offset = 0) =>
      driver.run(0, { opcode: 0x02, prp1: page, w10: ((dwords - 1) << 16) | id, w12: offset });
    expect((await log(1, 16)).status).toBe(0);
    const view = driver.viewAt(page, PAGE);
    expect(view.getBigUint64(0, true)).toBe(1n);
    expect([view.getUint16(8, true), view.getUint16(10, true), view.getUint32(24, true)]).toEqual([0, bad.id, 9]);
    expect((view.getUint16(12, true) >>> 1) & 0x7ff).toBe(1);
    await log(2, 128);
    expect(view.getUint16(1, true)).toBeGreaterThan(273);
    expect(view.getBigUint64(176, true)).toBe(1n);
    await log(2, 1, 176);
    expect(view.getUint32(0, true)).toBe(1);
    await log(3, 128);
    expect([view.getUint8(0), text(driver.at(page + 8, 8))]).toEqual([1, "1.0"]);
    expect((await log(0x42, 1)).status).toBe(0x109);
    expect([(await log(2, 1, 2)).status, (await log(2, 1, 516)).status]).toEqual([2, 2]);
    expect((await driver.run(0, { opcode: 0x02, prp1: page, w10: 0xffff_0002, w11: 0xffff })).status).toBe(2);
  }));

test("events: a wrong doorbell answers a held request, once until the log is read", () =>
  withDisk({}, async (driver) => {
    await driver.enable();
    const page = driver.alloc(PAGE);
    const held = [0, 1, 2].map(() => driver.put(0, { opcode: 0x0c }));
    await driver.ring(0);
    await settled();
    expect(driver.take(0)).toBeNull();
    await driver.write32(0x1000 + 8 * 7, 1); // no such queue
    expect(await driver.completion(0)).toMatchObject({ id: held[0], status: 0, result: 0x1_00_00 });
    await driver.write32(0x1000, 16); // beyond the ring
    await settled();
    expect(driver.take(0)).toBeNull();
    const log = await driver.run(0, { opcode: 0x02, prp1: page, w10: 1 });
    expect(log.status).toBe(0);
    expect(await driver.completion(0)).toMatchObject({ id: held[1], status: 0, result: 0x1_01_00 });
    // held requests use no room, can be aborted, and are limited
    const aborted = driver.put(0, { opcode: 0x08, w10: (held[2] as number) << 16 });
    await driver.ring(0);
    const both = [await driver.completion(0), await driver.completion(0)].sort((a, b) => a.id - b.id);
    expect(both).toMatchObject([
      { id: held[2], status: 0x07 },
      { id: aborted, status: 0, result: 0 },
    ]);
    expect((await driver.run(0, { opcode: 0x08, w10: 0x1234_0000 })).result).toBe(1);
    for (let i = 0; i < 5; i++) driver.put(0, { opcode: 0x0c });
    await driver.ring(0);
    expect((await driver.completion(0)).status).toBe(0x105);
  }));

test("a head beyond what was completed is an invalid doorbell value too", () =>
  withDisk({}, async (driver) => {
    await driver.enable();
    const held = driver.put(0, { opcode: 0x0c });
    await driver.ring(0);
    await driver.write32(0x1004, 3);
    expect(await driver.completion(0)).toMatchObject({ id: held, result: 0x1_01_00 });
  }));

test("shutdown: complete when the store is flushed, and undone by the next enable", () =>
  withDisk({}, async (driver, device) => {
    await driver.enable();
    await driver.write32(0x14, 0x0046_4001);
    await driver.waitStatus(0xc, 0x8);
    await driver.disable();
    expect(await driver.read32(0x1c)).toBe(0);
    await driver.enable();
    expect(await driver.read32(0x1c)).toBe(1);
    await driver.write32(0x14, 0x0046_4001);
    await driver.waitStatus(0xc, 0x8);
    await driver.client.reset();
    expect(device.health.unsafeShutdowns).toBe(0);
    await driver.client.regionWrite(7, 4, Uint8Array.of(6, 0));
    await driver.enable();
    await driver.client.reset();
    expect(device.health.unsafeShutdowns).toBe(1);
    expect(await driver.read32(0x14)).toBe(0);
  }));

test("queue memory that is not there is fatal, until a reset", () =>
  withDisk({}, async (driver) => {
    await driver.configure();
    await driver.disable();
    await driver.write32(0x2c, 0x7000);
    await driver.write32(0x14, 0x0046_0001);
    await driver.waitStatus(1, 1);
    await driver.ring(0);
    await driver.write32(0x1000, 1);
    await driver.waitStatus(3, 3);
    await driver.disable();
    await driver.enable();
    expect((await driver.run(0, { opcode: 0x0a, w10: 6 })).status).toBe(0);
  }));

test("without bus mastering nothing is read or written", () =>
  withDisk({}, async (driver) => {
    await driver.client.regionWrite(7, 4, Uint8Array.of(2, 0));
    await driver.enable();
    const before = driver.bytes.slice();
    driver.put(0, { opcode: 0x06, prp1: driver.alloc(PAGE), w10: 1 });
    await driver.ring(0);
    await driver.waitStatus(2, 2);
    expect(driver.take(0)).toBeNull();
    expect(Buffer.compare(driver.bytes.subarray(1024), before.subarray(1024))).toBe(0);
  }));
