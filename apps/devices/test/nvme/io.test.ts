// Reading and writing blocks, as a driver does it: every form of PRP entries, ring wrap-around, interrupts, errors, resets
// while commands are under way, and random traffic against a model of the disk.
import fc from "fast-check";
import { afterEach, expect, test } from "vitest";
import { MemoryStore } from "../../src/nvme/store.ts";
import { Driver, IOVA, MEMORIES, MEMORY, PAGE, pattern, settled, until, withDisk } from "./driver.ts";

test.each(MEMORIES)("blocks come back as they were written, however their memory lies ($memory)", (mode) =>
  withDisk(mode, async (driver) => {
    await driver.enable();
    await driver.makeQueues(1);
    const data = driver.alloc(512 << 10);
    const back = driver.alloc((512 << 10) + PAGE);
    // blocks, offset in the first page: within a page, to its end, two pages, a list, a list of one page, the largest
    const shapes = [
      [1, 0],
      [1, 3584],
      [2, 3584],
      [8, 0],
      [16, 4],
      [17, 512],
      [64, 1024],
      [1024, 0],
      [1000, 2048],
    ] as const;
    for (const [blocks, offset] of shapes) {
      const bytes = blocks * 512;
      driver.at(data, bytes).set(pattern(bytes, blocks + offset));
      expect(await driver.writeBlocks(1, 100, blocks, data)).toMatchObject({ status: 0, sqId: 1 });
      driver.at(back, (512 << 10) + PAGE).fill(0xee);
      expect((await driver.readBlocks(1, 100, blocks, back + offset)).status).toBe(0);
      expect(Buffer.compare(driver.at(back + offset, bytes), pattern(bytes, blocks + offset))).toBe(0);
      expect(driver.at(back, offset).every((byte) => byte === 0xee)).toBe(true);
      expect(driver.at(back + offset + bytes, 64).every((byte) => byte === 0xee)).toBe(true);
    }
  }),
);

test("PRP lists: any order of pages, chained from any offset of the first list", () =>
  withDisk({}, async (driver) => {
    await driver.enable();
    await driver.makeQueues(1);
    const data = driver.alloc(64 * PAGE);
    driver.at(data, 64 * PAGE).set(pattern(64 * PAGE, 1));
    const pages = Array.from({ length: 64 }, (_, i) => data + PAGE * ((i * 37) % 64));
    // prp1 is pages[0]; the list starts 16 bytes before the end of its page: one page, then a chain to the rest
    const rest = driver.list(pages.slice(2));
    const first = driver.list([pages[1] as number, rest], PAGE - 16);
    const write = { opcode: 0x01, nsid: 1, prp1: pages[0] as number, prp2: first, w10: 0, w12: 64 * 8 - 1 };
    expect((await driver.run(1, write)).status).toBe(0);
    const back = driver.alloc(64 * PAGE);
    expect((await driver.readBlocks(1, 0, 512, back)).status).toBe(0);
    pages.forEach((page, i) => {
      expect(Buffer.compare(driver.at(back + i * PAGE, PAGE), driver.at(page, PAGE))).toBe(0);
    });
    // a chain through the last entry of a page: the list's only entry is a pointer
    const only = driver.list([driver.list(pages.slice(1))], PAGE - 8);
    expect((await driver.run(1, { ...write, prp2: only })).status).toBe(0);
    expect((await driver.run(1, { ...write, prp2: driver.list([rest + 8], PAGE - 8) })).status).toBe(0x13);
  }));

test("wrong addresses end the command, and nothing else", () =>
  withDisk({}, async (driver) => {
    await driver.enable();
    await driver.makeQueues(1);
    const data = driver.alloc(4 * PAGE);
    const run = (prp1: number, prp2: number, blocks: number, opcode = 0x02) =>
      driver.run(1, { opcode, nsid: 1, prp1, prp2, w12: blocks - 1 }).then(({ status }) => status);
    expect(await run(data + 2, 0, 1)).toBe(0x13);
    expect(await run(data, data + 512, 9)).toBe(0x13);
    expect(await run(data, data + 4, 24)).toBe(0x13);
    expect(await run(data, driver.list([data, data + 8]), 24)).toBe(0x13);
    for (const nowhere of [0, IOVA - PAGE, IOVA + MEMORY, 2 ** 52, 2 ** 63]) {
      expect([nowhere, await run(nowhere, 0, 1), await run(nowhere, 0, 1, 0x01)]).toEqual([nowhere, 4, 4]);
      expect(await run(data, nowhere, 9)).toBe(4);
      expect(await run(data, nowhere, 24)).toBe(4);
      expect(await run(data, driver.list([data, nowhere]), 24)).toBe(4);
    }
    // over the end of the memory, and on read-only memory
    expect(await run(IOVA + MEMORY - 512, IOVA + MEMORY, 9)).toBe(4);
    expect(await run(data, 0, 1)).toBe(0);
  }));

test("wrong commands are told with the specification's status", () =>
  withDisk({ queues: 2 }, async (driver) => {
    await driver.enable();
    await driver.makeQueues(1);
    const prp1 = driver.alloc(PAGE);
    const words = { opcode: 0x02, nsid: 1, prp1 };
    const status = (more: object) => driver.run(1, { ...words, ...more }).then((c) => [c.status, c.dnr]);
    expect(await status({ nsid: 0 })).toEqual([0x0b, true]);
    expect(await status({ nsid: 2 })).toEqual([0x0b, true]);
    expect(await status({ nsid: 0xffff_ffff })).toEqual([0x0b, true]);
    expect(await status({ opcode: 0x00, nsid: 0xffff_ffff })).toEqual([0, false]);
    expect(await status({ opcode: 0x55 })).toEqual([0x01, true]);
    expect(await status({ w10: 16384 })).toEqual([0x80, true]);
    expect(await status({ w10: 16383, w12: 1 })).toEqual([0x80, true]);
    expect(await status({ w10: 0xffff_ffff, w11: 0xffff_ffff })).toEqual([0x80, true]);
    expect(await status({ w12: 1024 })).toEqual([0x02, true]); // more than MDTS
    expect(await status({ flags: 0x40 })).toEqual([0x02, true]); // SGL
    expect(await status({ flags: 0x01 })).toEqual([0x02, true]); // fused
    expect(await status({ w10: 16383 })).toEqual([0, false]);
  }));

test("flush, zeroes and deallocate", () =>
  withDisk({}, async (driver, device) => {
    await driver.enable();
    await driver.makeQueues(1);
    const data = driver.alloc(256 << 10);
    const fill = async (): Promise<void> => {
      driver.at(data, 256 << 10).fill(0x55);
      await driver.writeBlocks(1, 0, 512, data);
    };
    const zeroes = async (): Promise<number[]> => {
      await driver.readBlocks(1, 0, 512, data);
      const bytes = driver.at(data, 256 << 10);
      return [bytes.indexOf(0), bytes.lastIndexOf(0), bytes.filter((byte) => byte === 0).length];
    };
    await fill();
    expect(await driver.good(1, { opcode: 0x00, nsid: 1 })).toBe(0);
    expect(device.health.flushes).toBe(1);
    await driver.good(1, { opcode: 0x08, nsid: 1, w10: 3, w12: 300 });
    expect(await zeroes()).toEqual([3 * 512, 304 * 512 - 1, 301 * 512]);
    await fill();
    const list = driver.alloc(PAGE);
    const view = driver.viewAt(list, PAGE);
    [
      [10, 2],
      [20, 0],
      [200, 130],
    ].forEach(([first, count], i) => {
      view.setUint32(16 * i + 4, count as number, true);
      view.setBigUint64(16 * i + 8, BigInt(first as number), true);
    });
    const manage = (w11: number) => driver.run(1, { opcode: 0x09, nsid: 1, prp1: list, w10: 2, w11 });
    expect((await manage(1)).status).toBe(0);
    expect(await zeroes()).toEqual([-1, -1, 0]);
    expect((await manage(4)).status).toBe(0);
    expect(await zeroes()).toEqual([5120, 330 * 512 - 1, 132 * 512]);
    await fill();
    view.setBigUint64(40, 1n << 40n, true);
    expect((await manage(4)).status).toBe(0x80);
    expect(await zeroes()).toEqual([-1, -1, 0]);
    expect((await driver.run(1, { opcode: 0x08, nsid: 1, w10: 16000, w12: 0xffff })).status).toBe(0x80);
  }));

test("a ring goes round with its phase; each completion tells how far submissions were taken", () =>
  withDisk({}, async (driver) => {
    await driver.enable(2);
    await driver.makeQueues(1, 5);
    const page = driver.alloc(PAGE);
    for (let i = 0; i < 23; i++) {
      const completion = await driver.readBlocks(1, i, 1, page);
      expect(completion).toMatchObject({ status: 0, sqHead: (i + 1) % 5 });
    }
    for (let round = 0; round < 4; round++) {
      const ids = [0, 1, 2, 3].map((i) => driver.put(1, { opcode: 0x02, nsid: 1, prp1: page, w10: i }));
      await driver.ring(1);
      const done = await Promise.all(ids.map(() => driver.completion(1)));
      expect(done.map(({ id }) => id).sort((a, b) => a - b)).toEqual(ids);
    }
  }));

test("a driver that takes no completions gets no more than its queue holds, and all of them later", () =>
  withDisk({}, async (driver) => {
    await driver.enable();
    const [cq, sq] = [driver.alloc(PAGE), driver.alloc(PAGE)];
    // 4 completions, 64 submissions: the pair is made by hand, for the driver's rings are of one size
    await driver.good(0, { opcode: 0x05, prp1: cq, w10: (3 << 16) | 1, w11: 1 });
    await driver.good(0, { opcode: 0x01, prp1: sq, w10: (63 << 16) | 1, w11: 0x1_0001 });
    const page = driver.alloc(PAGE);
    for (let i = 0; i < 10; i++) {
      const view = driver.viewAt(sq + 64 * i, 64);
      view.setUint8(0, 0x02);
      view.setUint16(2, i, true);
      view.setUint32(4, 1, true);
      view.setBigUint64(24, BigInt(page), true);
    }
    await driver.write32(0x1008, 10);
    const phases = () => [0, 1, 2, 3].map((i) => driver.viewAt(cq + 16 * i, 16).getUint16(14, true) & 1);
    await settled();
    expect(phases()).toEqual([1, 1, 1, 0]);
    await driver.write32(0x100c, 2);
    await settled();
    expect(phases()).toEqual([0, 1, 1, 1]);
    for (const head of [1, 3, 1, 2]) {
      await driver.write32(0x100c, head);
      await settled();
    }
    const ids = [0, 1, 2, 3].map((i) => driver.viewAt(cq + 16 * i, 16).getUint16(12, true));
    expect(ids.includes(9)).toBe(true);
  }));

test("interrupts come at the queue's own vector, none at a queue that wants none", () =>
  withDisk({}, async (driver) => {
    await driver.interrupts(4);
    await driver.enable();
    await driver.makeQueues(1, 16, 3);
    await driver.makeQueues(2, 16, -1);
    await settled();
    expect(driver.interrupted(0)).toBeGreaterThan(0);
    const page = driver.alloc(PAGE);
    await driver.readBlocks(1, 0, 1, page);
    await settled();
    expect([0, 1, 2, 3].map((vector) => driver.interrupted(vector) > 0)).toEqual([false, false, false, true]);
    await driver.readBlocks(2, 0, 1, page);
    await settled();
    expect([0, 1, 2, 3].map((vector) => driver.interrupted(vector))).toEqual([0, 0, 0, 0]);
    for (let i = 0; i < 8; i++) driver.put(1, { opcode: 0x02, nsid: 1, prp1: page });
    await driver.ring(1);
    for (let i = 0; i < 8; i++) await driver.completion(1);
    await settled();
    expect(driver.interrupted(3)).toBe(1); // one for all that ended together
  }));

/** A store whose flush ends when the test says so. */
class SlowStore extends MemoryStore {
  #waiting: (() => void)[] = [];
  override flush(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
  get waiting(): number {
    return this.#waiting.length;
  }
  go(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

test("a disable waits for the commands under way, whose completions are not posted", async () => {
  const store = new SlowStore(1 << 20);
  await withDisk({ store }, async (driver) => {
    await driver.enable();
    await driver.makeQueues(1);
    driver.put(1, { opcode: 0x00, nsid: 1 });
    await driver.ring(1);
    await until(() => store.waiting === 1, "the flush");
    await driver.write32(0x14, 0x0046_0000);
    await settled();
    expect(await driver.read32(0x1c)).toBe(1);
    store.go();
    await driver.waitStatus(1, 0);
    expect(driver.take(1)).toBeNull();
    // enabled again before it has stopped: it stops and starts
    await driver.enable();
    await driver.makeQueues(1);
    driver.put(1, { opcode: 0x00, nsid: 1 });
    await driver.ring(1);
    await until(() => store.waiting === 1, "the flush");
    await driver.write32(0x14, 0x0046_0000);
    await driver.configure();
    store.go();
    await driver.waitStatus(1, 1);
    await driver.makeQueues(1);
    expect((await driver.readBlocks(1, 0, 1, driver.alloc(PAGE))).status).toBe(0);
  });
});

test("a deleted queue completes what it has, then the deletion; other queues go on", async () => {
  const store = new SlowStore(1 << 20);
  await withDisk({ store }, async (driver) => {
    await driver.enable();
    await driver.makeQueues(1);
    await driver.makeQueues(2);
    const flush = driver.put(1, { opcode: 0x00, nsid: 1 });
    await driver.ring(1);
    await until(() => store.waiting === 1, "the flush");
    const deletion = driver.put(0, { opcode: 0x00, w10: 1 });
    await driver.ring(0);
    expect((await driver.readBlocks(2, 0, 1, driver.alloc(PAGE))).status).toBe(0);
    expect(driver.take(0)).toBeNull();
    store.go();
    expect(await driver.completion(1)).toMatchObject({ id: flush, status: 0 });
    expect(await driver.completion(0)).toMatchObject({ id: deletion, status: 0 });
  });
});

test.each(MEMORIES)("reset while commands are under way: nothing is written to memory after it ($memory)", (mode) =>
  withDisk(mode, async (driver) => {
    for (let round = 0; round < 10; round++) {
      await driver.client.regionWrite(7, 4, Uint8Array.of(6, 0));
      await driver.enable();
      await driver.makeQueues(1);
      const data = driver.alloc(512 << 10);
      for (let i = 0; i < 20; i++) driver.put(1, { opcode: 0x02, nsid: 1, ...driver.prps(data, 128 << 10), w12: 255 });
      await driver.ring(1);
      for (let i = 0; i < round; i++) await new Promise((resolve) => setImmediate(resolve));
      await driver.client.reset();
      // DMA messages that were sent before may still be answered
      await settled();
      const before = driver.bytes.slice();
      await settled();
      expect(Buffer.compare(before, driver.bytes)).toBe(0);
      expect(await driver.read32(0x1c)).toBe(0);
    }
  }),
);

test("what is written stays, over resets and clients", () =>
  withDisk({}, async (driver, device) => {
    await driver.enable();
    await driver.makeQueues(1);
    const data = driver.alloc(PAGE);
    driver.at(data, PAGE).set(pattern(PAGE, 7));
    await driver.writeBlocks(1, 40, 8, data);
    driver.client.close();
    const other = await Driver.connect(device.server?.sockAddr ?? "");
    try {
      await other.enable();
      await other.makeQueues(1);
      const back = other.alloc(PAGE);
      await other.readBlocks(1, 40, 8, back);
      expect(Buffer.compare(other.at(back, PAGE), pattern(PAGE, 7))).toBe(0);
    } finally {
      other.close();
    }
  }));

test("blocks of 4096 bytes, pages of 64 KiB", () =>
  withDisk({ blockBytes: 4096 }, async (driver) => {
    driver.align = 65536;
    await driver.enable(16, 0x0046_0001 | (4 << 7));
    const aligned = driver.alloc(MEMORY / 2);
    await driver.good(0, { opcode: 0x06, nsid: 1, prp1: aligned, w10: 0 });
    expect(driver.viewAt(aligned, PAGE).getUint32(128, true)).toBe(12 << 16);
    const queue = (opcode: number, prp1: number, w11: number) =>
      driver.good(0, { opcode, prp1, w10: (15 << 16) | 1, w11 });
    await queue(0x05, aligned, 1);
    await queue(0x01, aligned + 65536, 0x1_0001);
    const status = (await driver.run(0, { opcode: 0x05, prp1: aligned + PAGE, w10: (15 << 16) | 2, w11: 1 })).status;
    expect(status).toBe(0x13);
    // 33 blocks from the middle of a page: prp1 to its end, prp2 a list of two pages
    const data = aligned + 8 * 65536;
    driver.at(data, 4 * 65536).set(pattern(4 * 65536, 3));
    const list = aligned + 2 * 65536;
    driver.viewAt(list, 16).setBigUint64(0, BigInt(data + 65536), true);
    driver.viewAt(list, 16).setBigUint64(8, BigInt(data + 131072), true);
    const view = driver.viewAt(aligned + 65536, 64);
    view.setUint8(0, 0x01);
    view.setUint32(4, 1, true);
    view.setBigUint64(24, BigInt(data + 32768), true);
    view.setBigUint64(32, BigInt(list), true);
    view.setUint32(48, 32, true);
    await driver.write32(0x1008, 1);
    await until(() => (driver.viewAt(aligned, 16).getUint16(14, true) & 1) === 1, "the completion");
    expect(driver.viewAt(aligned, 16).getUint16(14, true)).toBe(1);
  }));

afterEach(() => settled());

test("random reads, writes and zeroes of several queues leave what a model holds", async () => {
  const BLOCKS = 600;
  const step = fc.record({
    kind: fc.constantFrom("read", "write", "zero", "reset"),
    first: fc.nat(BLOCKS - 1),
    count: fc.integer({ min: 1, max: 80 }),
    offset: fc.nat(1023).map((n) => n * 4),
    queue: fc.integer({ min: 1, max: 3 }),
    seed: fc.nat(255),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 1, maxLength: 40 }),
      fc.constantFrom(...MEMORIES),
      async (steps, { memory }) =>
        withDisk({ store: new MemoryStore(BLOCKS * 512), memory }, async (driver) => {
          const model = new Uint8Array(BLOCKS * 512);
          const begin = async (): Promise<void> => {
            await driver.enable();
            for (const id of [1, 2, 3]) await driver.makeQueues(id, 2 + id);
          };
          await begin();
          for (const { kind, first, count: wanted, offset, queue, seed } of steps) {
            const count = Math.min(wanted, BLOCKS - first);
            const [from, bytes] = [first * 512, count * 512];
            if (kind === "reset") {
              await driver.disable();
              await begin();
            } else if (kind === "zero") {
              await driver.good(queue, { opcode: 0x08, nsid: 1, w10: first, w12: count - 1 });
              model.fill(0, from, from + bytes);
            } else if (kind === "write") {
              const data = driver.alloc(PAGE + bytes) + offset;
              driver.at(data, bytes).set(pattern(bytes, seed));
              model.set(pattern(bytes, seed), from);
              expect((await driver.writeBlocks(queue, first, count, data)).status).toBe(0);
            } else {
              const data = driver.alloc(PAGE + bytes) + offset;
              expect((await driver.readBlocks(queue, first, count, data)).status).toBe(0);
              expect(Buffer.compare(driver.at(data, bytes), model.subarray(from, from + bytes))).toBe(0);
            }
          }
        }),
    ),
    { numRuns: 25 },
  );
});
