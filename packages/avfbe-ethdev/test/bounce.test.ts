// Guests whose memory the device cannot map: packets go round all the same, for a file that is larger than the arena (read
// and written by system calls) and for memory without fd (read and written by messages). And what ends a bounce.
import { setTimeout as sleep } from "node:timers/promises";
import { loadPlace, QPOS_BYTES, storePlace } from "@emudev/emudev";
import { dupFd, eventfd, eventfdRead } from "@emudev/linux";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { ByteRing } from "../src/control/byte-ring.ts";
import { finished, makeFrame, segmentsOf } from "./model/frames.ts";
import { PortRig, until } from "./support/port-rig.ts";
import { dataWord, type GuestHost, type Received, RxRing, TxRing, tsoWord } from "./support/rings.ts";
import { type FakeGuest, GUEST_BASE, MIB } from "./support/world.ts";

let rig: PortRig;
let index = 0;
let zones = 0;
beforeAll(async () => {
  rig = await PortRig.make();
  zones = rig.env.arena.memzones().length;
});
afterAll(() => rig.env.cleanup());
afterEach(() => expect(rig.env.arena.memzones().length).toBe(zones));

type Kind = "file" | "messages";

/** A guest of one kind with port and lcore, queue pair 0 enabled. */
async function withGuest(
  kind: Kind,
  body: (world: { guest: FakeGuest; host: GuestHost; rx: RxRing; tx: TxRing }) => Promise<void>,
  rings: { rxSize?: number; txSize?: number; bufSize?: number } = {},
): Promise<void> {
  const { guest, port } = await rig.attach(index++, { bytes: 8 * MIB });
  if (kind === "file") await guest.map("file");
  else await guest.mapRemote();
  expect(guest.table.isMapped(GUEST_BASE, 1)).toBe(false);
  const host = { guest, enable: (queue: number) => guest.enable(queue) };
  try {
    await rig.echo(port, 1, async () => {
      const { rxSize = 64, txSize = 64, bufSize = 2048 } = rings;
      const rx = await RxRing.make(host, { size: rxSize, bufSize });
      const tx = await TxRing.make(host, txSize);
      await body({ guest, host, rx, tx });
      await guest.reset();
    });
  } finally {
    await rig.env.vdev.detach(port.name);
    await guest.close();
  }
  expect(rig.pool.availCount()).toBe(rig.pool.size);
}

const echoed = (frame: Uint8Array): Uint8Array =>
  Uint8Array.from([...frame.subarray(6, 12), ...frame.subarray(0, 6), ...frame.subarray(12)]);
const from = (seed: number, length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => [2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1][i] ?? (seed + i) & 255);
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

async function arrivals(rx: RxRing, count: number): Promise<Received[]> {
  const got: Received[] = [];
  await until(() => {
    got.push(...rx.take());
    return got.length >= count;
  });
  return got;
}

describe.each<Kind>(["file", "messages"])("memory behind a %s", (kind) => {
  test("packets go round, over the ends of all rings, with interrupts", async () => {
    await withGuest(
      kind,
      async ({ guest, rx, tx }) => {
        const fd = eventfd();
        await guest.vectors[1]!.setFd(fd);
        for (let round = 0; round < 25; round++) {
          guest.vectors[1]!.setArmed(true);
          const frames = Array.from({ length: 30 }, (_, i) => from(i + round, 60 + ((i * 97 + round) % 1400)));
          for (const frame of frames)
            tx.send(frame, {}, frame.length > 200 ? [14, 100, frame.length - 114] : [frame.length]);
          tx.kick();
          const got = await arrivals(rx, 30);
          expect(got.map(({ bytes }) => hex(bytes))).toEqual(frames.map((frame) => hex(echoed(frame))));
          await until(() => eventfdRead(fd) > 0); // it comes behind the packets
          await until(() => tx.words()[(tx.next + 127) % 128] === 0xfn);
        }
        await guest.vectors[1]!.setFd(-1);
      },
      { txSize: 128 },
    );
  });

  test("offloads work: checksums and TSO", async () => {
    await withGuest(
      kind,
      async ({ guest, rx, tx }) => {
        await guest.set("promisc_unicast", true);
        const plain = makeFrame({ ipv6: true, protocol: "tcp", payload: 700 });
        tx.send(plain.bytes, { cmd: plain.cmd, offsets: plain.offsets });
        const big = makeFrame({ ipv6: false, protocol: "tcp", payload: 60_000, tcpOptions: 12 }, true);
        tx.put(0n, tsoWord(60_000, 1400));
        tx.send(big.bytes, { cmd: big.cmd, offsets: big.offsets }, [16_000, 16_000, 16_000, big.bytes.length - 48_000]);
        tx.kick();
        const expected = [finished(plain), ...segmentsOf(big, 1400)];
        const got = await arrivals(rx, expected.length);
        expect(got.map(({ bytes }) => hex(bytes))).toEqual(expected.map((frame) => hex(echoed(frame))));
        expect(got.every(({ status }) => (status & 8) !== 0)).toBe(true);
      },
      { rxSize: 256 },
    );
  });

  test("where queues stand is known all the time, and they go on there", async () => {
    await withGuest(kind, async ({ guest, host, rx, tx }) => {
      const { arena } = rig.env;
      const places = arena.memzoneReserve("places", 2 * QPOS_BYTES);
      for (const number of [0, 1]) storePlace(arena, places.off + number * QPOS_BYTES, 0);
      guest.position = (number) => ({ off: places.off + number * QPOS_BYTES, durable: true });
      for (let round = 0; round < 5; round++) {
        for (const number of [0, 1]) await guest.disable(number);
        for (const number of [0, 1]) await host.enable(number);
        for (let burst = 0; burst < 3; burst++) {
          const frames = Array.from({ length: 15 }, (_, i) => from(i + burst, 300));
          for (const frame of frames) tx.send(frame);
          tx.kick();
          const got = await arrivals(rx, 15);
          expect(got.map(({ bytes }) => hex(bytes))).toEqual(frames.map((frame) => hex(echoed(frame))));
          await until(() => tx.words()[(tx.next + 63) % 64] === 0xfn);
          const at = (next: number): object => ({ done: next, next });
          await until(() => loadPlace(arena, places.off + QPOS_BYTES)!.done === tx.next);
          expect(loadPlace(arena, places.off + QPOS_BYTES)).toEqual(at(tx.next));
          expect(loadPlace(arena, places.off)).toEqual(at(rx.next));
        }
      }
      await guest.reset();
      guest.position = null;
      arena.memzoneFree("places");
    });
  });

  test("small guest buffers and jumbo frames", async () => {
    await withGuest(
      kind,
      async ({ rx, tx }) => {
        const frames = [from(1, 9000), from(2, 60), from(3, 4000)];
        for (const frame of frames) tx.send(frame);
        tx.kick();
        const got = await arrivals(rx, 3);
        expect(got.map(({ bytes }) => hex(bytes))).toEqual(frames.map((frame) => hex(echoed(frame))));
        expect(got[0]!.buffers).toBe(9);
      },
      { bufSize: 1024 },
    );
  });

  test("hostile descriptors: counted, completed, and packets behind them still pass", async () => {
    await withGuest(kind, async ({ guest, host, rx, tx }) => {
      tx.put(0x10n, dataWord({ length: 64, cmd: 3 })); // outside
      tx.put(GUEST_BASE, 7n); // unknown type
      tx.put(GUEST_BASE, 0xfn); // already done
      for (let i = 0; i < 12; i++) tx.put(GUEST_BASE, dataWord({ length: 16_383 })); // no end, much memory
      tx.put(GUEST_BASE, dataWord({ length: 16_383, cmd: 3 }));
      tx.send(from(5, 100));
      tx.kick();
      const [got] = await arrivals(rx, 1);
      expect(hex(got!.bytes)).toBe(hex(echoed(from(5, 100))));
      const stats = Object.fromEntries(guestStats(guest).map(({ name, value }) => [name, value]));
      expect([stats.rx_bad_address, stats.rx_bad_descriptor_type, stats.rx_no_end_of_packet]).toEqual([1, 2, 1]);
      await guest.disable(0);
      const again = await RxRing.make(host, { post: 0 });
      again.buffers[0] = 0x20n; // outside
      again.post(31);
      tx.send(from(6, 100));
      tx.send(from(7, 100));
      tx.kick();
      const two = await arrivals(again, 2);
      expect(two.map(({ error }) => error)).toEqual([1, 0]);
      expect(hex(two[1]!.bytes)).toBe(hex(echoed(from(7, 100))));
    });
  });

  test("a queue is disabled and enabled, and the device reset, while packets flow", async () => {
    await withGuest(kind, async ({ guest, host }) => {
      for (let life = 0; life < 6; life++) {
        const rx = await RxRing.make(host, { size: 64 });
        const tx = await TxRing.make(host, 64);
        for (let i = 0; i < 40; i++) tx.send(from(i, 1000));
        tx.kick();
        const got = await arrivals(rx, life * 6 + 1);
        expect(hex(got[0]!.bytes)).toBe(hex(echoed(from(0, 1000))));
        if (life % 2) await guest.reset();
        else await Promise.all([guest.disable(0), guest.disable(1)]);
        await sleep(5);
        const before = guest.view(rx.base, 32 * 64).slice();
        await sleep(20);
        expect(hex(guest.view(rx.base, 32 * 64))).toBe(hex(before)); // nothing is written any more
      }
    });
  });

  test("memory that goes away ends the bounce with a line in the log", async () => {
    await withGuest(kind, async ({ guest, rx, tx }) => {
      tx.send(from(1, 100));
      tx.kick();
      await arrivals(rx, 1);
      await guest.table.unmapAll();
      tx.send(from(2, 100));
      tx.kick();
      await until(() => rig.lines.join("").includes("guest tx queue 0 stops: its memory cannot be reached"));
      rig.lines.length = 0;
      if (kind === "file") await guest.map();
      else await guest.mapRemote();
    });
  });
});

test("buffers alone that are not mapped: the queue changes hands in the middle, in order and without loss", async () => {
  const { guest, port } = await rig.attach(index++);
  // The lower half is mapped, the upper half has no fd; rings lie low, every third buffer lies high.
  const half = BigInt(guest.bytes / 2);
  await guest.table.map({ iova: GUEST_BASE, size: half, prot: 3, fd: dupFd(guest.fd), fileOffset: 0n });
  await guest.table.map({ iova: GUEST_BASE + half, size: half, prot: 3, fd: -1, fileOffset: 0n }, guest.transport);
  const host = { guest, enable: (queue: number) => guest.enable(queue) };
  await rig.echo(port, 1, async () => {
    const rx = await RxRing.make(host, { size: 256 });
    const tx = await TxRing.make(host, 256);
    const frames = Array.from({ length: 200 }, (_, i) => from(i, 60 + i));
    frames.forEach((frame, i) => {
      const address = i > 20 && i % 3 === 0 ? GUEST_BASE + half + BigInt(4096 * i) : guest.alloc(frame.length, 2);
      guest.view(address, frame.length).set(frame);
      tx.put(address, dataWord({ length: frame.length, cmd: 3 }));
    });
    rx.write(100, GUEST_BASE + half + 2048n);
    rx.buffers[100] = GUEST_BASE + half + 2048n;
    tx.kick();
    const got = await arrivals(rx, 200);
    expect(got.map(({ bytes }) => hex(bytes))).toEqual(frames.map((frame) => hex(echoed(frame))));
    expect(guest.messages).toBeGreaterThan(0);
    await guest.reset();
  });
  await rig.env.vdev.detach(port.name);
  await guest.close();
});

function guestStats(guest: FakeGuest): { name: string; value: number }[] {
  return rig.portOf(guest).xstatsGet();
}

test("a ring of bytes gives no byte twice, and all of them again", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 60 }), { maxLength: 200 }),
      fc.array(fc.nat(3), { maxLength: 200 }),
      (sizes, frees) => {
        const ring = new ByteRing(100);
        const held: { at: number; end: number; size: number }[] = [];
        sizes.forEach((size, i) => {
          const piece = ring.take(size);
          if (piece !== null) {
            expect(piece.at + size).toBeLessThanOrEqual(100);
            for (const other of held)
              expect(piece.at + size <= other.at || other.at + other.size <= piece.at || size * other.size === 0).toBe(
                true,
              );
            held.push({ ...piece, size });
          }
          for (let n = frees[i] ?? 1; n > 0 && held.length > 0; n--) ring.release(held.shift()!.end);
        });
        while (held.length > 0) ring.release(held.shift()!.end);
        expect(ring.take(50)).not.toBeNull();
      },
    ),
  );
});
