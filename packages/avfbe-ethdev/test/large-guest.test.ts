// A guest of 64 GiB, a sparse memfd, in an arena of 4 GiB: buffers anywhere in it, so that windows are mapped and taken away
// all the time under a polling lcore. Every packet arrives, in order, with its bytes; nothing is carried by the bounce path.
import { setTimeout as sleep } from "node:timers/promises";
import { pread, pwrite } from "@emudev/linux";
import { afterAll, beforeAll, expect, test } from "vitest";
import { PortRig } from "./support/port-rig.ts";
import { dataWord } from "./support/rings.ts";
import { type FakeGuest, GUEST_BASE } from "./support/world.ts";

const GIB = 2 ** 30;
const BYTES = 64 * GIB;
const SIZE = 256;
const PACKETS = 2000;
const LENGTH = 600;
const CHUNK = 2 * 2 ** 20;

let rig: PortRig;
let guest: FakeGuest;

beforeAll(async () => {
  rig = await PortRig.make();
});
afterAll(async () => {
  await rig.env.cleanup();
});

const packet = (n: number): Uint8Array =>
  Uint8Array.from(
    { length: LENGTH },
    (_, i) => [2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1][i] ?? (n * 7 + i * 13 + (n >>> 8)) & 255,
  );

/** Where buffer n lies: all over the memory, every tenth across the end of a window. */
const place = (n: number): number =>
  n % 10 === 0 ? (1 + ((n * 2617) % 32_000)) * CHUNK - 300 : GIB + ((n * 2654435761) % (BYTES - 2 * GIB));

test("64 GiB: windows on demand, every packet once, in order and whole", async () => {
  const { guest: made, port } = await rig.attach(0, { bytes: BYTES });
  guest = made;
  await guest.map();
  const { u64 } = guest;
  const tx = guest.alloc(16 * SIZE);
  const rx = guest.alloc(32 * SIZE);
  const [txAt, rxAt] = [guest.word(tx), guest.word(rx)];
  let received = 0;
  const counts = await rig.echo(port, 1, async () => {
    guest.configure(0, rx, SIZE);
    guest.configure(1, tx, SIZE);
    guest.tail(0, 0);
    guest.tail(1, 0);
    await guest.enable(0);
    await guest.enable(1);
    const got = new Uint8Array(LENGTH);
    let posted = 0;
    let sent = 0;
    const turn = (): void => {
      for (; posted < received + SIZE - 1; posted++)
        u64.set([GUEST_BASE + BigInt(place(posted + 5_000)), 0n, 0n, 0n], rxAt + 4 * (posted % SIZE));
      guest.tail(0, posted % SIZE);
      for (; sent < Math.min(PACKETS, received + 100); sent++) {
        pwrite(guest.fd, packet(sent), BigInt(place(sent)));
        u64[txAt + 2 * (sent % SIZE)] = GUEST_BASE + BigInt(place(sent));
        u64[txAt + 2 * (sent % SIZE) + 1] = dataWord({ length: LENGTH, cmd: 3 });
      }
      guest.tail(1, sent % SIZE);
      for (;;) {
        const at = rxAt + 4 * (received % SIZE);
        if (received === PACKETS || received === posted || (Atomics.load(u64, at + 1) & 1n) === 0n) return;
        pread(guest.fd, got, BigInt(place(received + 5_000)));
        const expected = packet(received);
        const swapped = [...expected.subarray(6, 12), ...expected.subarray(0, 6), ...expected.subarray(12)];
        if (Buffer.compare(got, Uint8Array.from(swapped)) !== 0) throw new Error(`packet ${received} differs`);
        received++;
      }
    };
    for (let turns = 0; received < PACKETS; turns++) {
      if (turns === 20_000)
        throw new Error(`${received} of ${PACKETS} packets came back; ${JSON.stringify(guest.table.demand)}`);
      turn();
      await sleep(1);
    }
  });
  expect(counts).toEqual({ received: PACKETS, sent: PACKETS });
  const xstats = new Map(port.xstatsGet().map(({ name, value }) => [name, value]));
  expect(xstats.get("mem_window_misses")).toBeGreaterThan(PACKETS);
  expect(xstats.get("mem_windows_evicted")).toBeGreaterThan(1000);
  expect(xstats.get("mem_windows_mapped")).toBeLessThan(800);
  for (const name of ["rx_bad_address", "tx_bad_address", "rx_bounce_fault"]) expect(xstats.get(name), name).toBe(0);
  expect(rig.lines.filter((line) => line.includes("bounce"))).toEqual([]);
  const before = rig.env.arena.windows().length;
  await guest.table.unmapAll();
  expect(guest.table.demand.mapped).toBe(0);
  expect(rig.env.arena.windows().length).toBeLessThan(before - 100);
  await rig.env.vdev.detach("net_avfbe0");
  await guest.close();
}, 60_000);
