// Guests of 64 GiB, sparse memfds, in an arena of 4 GiB: buffers anywhere in it, so that windows are mapped and taken away
// all the time under a polling lcore that drops what a port does not take, as forwarders do. Every packet arrives, in order,
// with its bytes.
import { setTimeout as sleep } from "node:timers/promises";
import type { EthDev } from "@emudev/ethdev";
import { pread, pwrite } from "@emudev/linux";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { JumpingGuest, LARGE, packet, type Traffic } from "./support/jumping-guest.ts";
import { PortRig, until } from "./support/port-rig.ts";
import { dataWord } from "./support/rings.ts";
import { type FakeGuest, GUEST_BASE } from "./support/world.ts";

let rig: PortRig;
const guests: FakeGuest[] = [];
const ports: EthDev[] = [];

beforeAll(async () => {
  rig = await PortRig.make();
});
afterEach(async () => {
  for (const port of ports.splice(0)) await rig.env.vdev.detach(port.name);
  for (const guest of guests.splice(0)) await guest.close();
  rig.lines.length = 0;
});
afterAll(async () => {
  await rig.env.cleanup();
});

async function attach(windows?: number): Promise<{ guest: FakeGuest; port: EthDev }> {
  const made = await rig.attach(guests.length, { bytes: LARGE, ...(windows === undefined ? {} : { windows }) });
  guests.push(made.guest);
  ports.push(made.port);
  await made.guest.map();
  return made;
}

const xstatsOf = (port: EthDev): Record<string, number> =>
  Object.fromEntries(port.xstatsGet().map(({ name, value }) => [name, value]));

/** Runs the traffic of several guests to its end. */
async function finish(...all: JumpingGuest[]): Promise<void> {
  for (let turns = 0; !all.every(({ done }) => done); turns++) {
    if (turns === 20_000) {
      const states = all.map(({ received, sent, guest }) => ({ received, sent, ...guest.table.demand }));
      throw new Error(`not all packets came back: ${JSON.stringify(states)}`);
    }
    for (const one of all) one.turn();
    await sleep(1);
  }
}

/** The traffic of one guest over its port, and what the port counted. */
async function run(windows: number | undefined, traffic: Traffic): Promise<Record<string, number>> {
  const { guest, port } = await attach(windows);
  const jumping = new JumpingGuest(guest, traffic);
  const counts = await rig.echo(
    port,
    1,
    async () => {
      await jumping.enable();
      await finish(jumping);
    },
    true,
  );
  expect(counts).toEqual({ received: traffic.packets, sent: traffic.packets, dropped: 0 });
  const xstats = xstatsOf(port);
  for (const name of ["rx_bad_address", "tx_bad_address", "rx_bounce_fault", "tx_held_lost"])
    expect(xstats[name], name).toBe(0);
  return xstats;
}

test("64 GiB, a packet and a buffer in each of thousands of windows: none is lost, and nothing is carried", async () => {
  const before = rig.env.arena.windows().length;
  const xstats = await run(undefined, { packets: 2000, length: 600 });
  expect(xstats.mem_window_misses! + xstats.mem_windows_prefetched!).toBeGreaterThan(2000);
  expect(xstats.mem_windows_evicted).toBeGreaterThan(1000);
  expect(xstats.mem_windows_mapped).toBeLessThan(800);
  expect(rig.lines.filter((line) => line.includes("carried"))).toEqual([]);
  await guests.at(-1)!.table.unmapAll();
  expect(guests.at(-1)!.table.demand.mapped).toBe(0);
  expect(rig.env.arena.windows().length).toBe(before);
}, 60_000);

test("room for eight windows, and packets in hundreds: all of them arrive", async () => {
  const xstats = await run(8, { packets: 600, length: 1500, places: 600 });
  expect(xstats.tx_held_packets).toBeGreaterThan(0);
  expect(xstats.mem_windows_thrashed).toBeGreaterThan(0);
  expect(xstats.mem_windows_mapped).toBeLessThanOrEqual(8);
  expect(rig.lines.filter((line) => line.includes("its 8 windows")).length).toBe(1);
}, 60_000);

test("two guests of 64 GiB share the room, on one lcore", async () => {
  const [first, second] = [await attach(40), await attach()];
  const traffic = { packets: 700, length: 300 };
  const jumping = [first, second].map(({ guest }) => new JumpingGuest(guest, traffic));
  const counts = await rig.echo(
    [first.port, second.port],
    1,
    async () => {
      for (const one of jumping) await one.enable();
      await finish(...jumping);
    },
    true,
  );
  expect(counts).toEqual({ received: 1400, sent: 1400, dropped: 0 });
  expect(first.guest.table.demand.mapped).toBeLessThanOrEqual(40);
  expect(second.guest.table.demand.mapped).toBeLessThan(400); // half of what one alone has
}, 60_000);

test("a packet in more windows than there is room for is carried by the main thread, once it is sure, and all behind it", async () => {
  const { guest, port } = await attach(4);
  const size = 32;
  const tx = guest.alloc(16 * size);
  const rx = guest.alloc(32 * size);
  const parts = Array.from({ length: 8 }, (_, i) => 3 * 2 ** 30 + i * 2 ** 31);
  const bytes = packet(3, 800);
  parts.forEach((at, i) => {
    pwrite(guest.fd, bytes.subarray(100 * i, 100 * (i + 1)), BigInt(at));
    const cmd = i % 8 === 7 ? 3 : 0;
    for (const n of [i, i + 8])
      guest.u64.set([GUEST_BASE + BigInt(at), dataWord({ length: 100, cmd })], guest.word(tx) + 2 * n);
  });
  for (let i = 0; i < 8; i++) guest.u64.set([GUEST_BASE + BigInt(40 * 2 ** 30), 0n, 0n, 0n], guest.word(rx) + 4 * i);
  const counts = await rig.echo(
    port,
    1,
    async () => {
      guest.configure(0, rx, size);
      guest.configure(1, tx, size);
      guest.tail(0, 8);
      guest.tail(1, 16);
      await guest.enable(0);
      await guest.enable(1);
      await until(() => (Atomics.load(guest.u64, guest.word(rx) + 5) & 1n) === 1n);
    },
    true,
  );
  expect(counts).toEqual({ received: 2, sent: 2, dropped: 0 });
  const got = new Uint8Array(800);
  pread(guest.fd, got, BigInt(40 * 2 ** 30));
  expect(got.subarray(12)).toEqual(bytes.subarray(12));
  expect(rig.lines.filter((line) => line.includes("carried"))).toHaveLength(1);
}, 20_000);

test("memory unmapped under a queue whose windows are being fetched, by a reset or without: it goes on with the next", async () => {
  const { guest, port } = await attach(8);
  await rig.echo(
    port,
    1,
    async () => {
      for (let round = 0; round < 6; round++) {
        const jumping = new JumpingGuest(guest, { packets: 1e6, length: 200 });
        await jumping.enable();
        for (let i = 0; i < 5 + 3 * round; i++) {
          jumping.turn();
          await sleep(1);
        }
        if (round % 2 === 0) await guest.reset();
        await guest.table.unmapAll();
        expect(guest.table.demand.mapped).toBe(0);
        await guest.reset();
        await guest.map();
      }
      const last = new JumpingGuest(guest, { packets: 50, length: 200 });
      await last.enable();
      await finish(last);
    },
    true,
  );
  expect(rig.lines.filter((line) => line.includes("error") || line.includes("ENOENT"))).toEqual([]);
}, 30_000);
