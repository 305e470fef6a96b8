// net_avfbe's bursts of 32 where the guest asks for more than a copy, as a polling lcore makes them: checksums, segmentation
// and tags of what it sends; tags and RSS of what it gets. Nanoseconds a packet (a segment, with TSO), without a baseline in C:
// what each costs is its distance from the plain bursts of burst.ts, the work itself is compared by header.ts.
import { RX_FLTSTAT_RSS, RX_STATUS_FLTSTAT_SHIFT } from "@emudev/avf";
import type { LcoreEnv } from "@emudev/eal/data";
import { crc32c, inet } from "@emudev/net";
import { type Arena, Mempool, mbufAppend, mbufData, Qsbr, shmKernels } from "@emudev/shm";
import { at } from "../layout.ts";
import { assertDone, compare, type Effort, type Result, type Variant } from "../measure.ts";
import { BenchGuest, type GuestWork, packetOf, RUN_PACKETS } from "./guest.ts";
import { crc32cTables, rssTable } from "./tables.ts";

const BURST = 32;
const LCORE = 1;
const MBUFS = 2048;
const QUEUES = 4;

const TCP = 6;
const SCTP = 132;
const EOP_RS = 3n;
const IPV4_CHECKSUM = 0x60n;
const L4 = { [TCP]: 0x100n, [SCTP]: 0x200n };
const TAG = 0x123;

interface Entry {
  name: string;
  run(arena: Arena, effort: Effort): Promise<Result[]>;
}

const entry = (name: string, bench: (name: string, arena: Arena, effort: Effort) => Promise<Result[]>): Entry => ({
  name: `avfbe/${name}`,
  run: (arena, effort) => bench(`avfbe/${name}`, arena, effort),
});

export const offloadBenches: readonly Entry[] = [
  ...[64, 1518].map((bytes) =>
    entry(`rx-checksum-${bytes}`, (...args) => sendBench(checksumWork(TCP, bytes, 1), bytes, ...args)),
  ),
  entry("rx-checksum-2x759", (...args) => sendBench(checksumWork(TCP, 1518, 2), 1518, ...args)),
  entry("rx-sctp-1518", (...args) => sendBench(checksumWork(SCTP, 1518, 1), 1518, ...args)),
  entry("rx-tso-1514", (...args) => sendBench(tsoWork(), 1514, ...args)),
  entry("rx-tag-64", (...args) => sendBench(tagWork(64), 68, ...args)),
  ...[64, 1518].flatMap((bytes) => [
    entry(`tx-strip-untagged-${bytes}`, (...args) => receiveBench("untagged", bytes, ...args)),
    entry(`tx-strip-${bytes}`, (...args) => receiveBench("tagged", bytes, ...args)),
    entry(`tx-rss-${bytes}`, (...args) => receiveBench("rss", bytes, ...args)),
  ]),
];

/** A TCP or SCTP packet over IPv4 as a stack hands it over: what the checksum field must hold for the device is in it. */
function packet(protocol: number, bytes: number, seed: number, pseudoLength = bytes - 34): Uint8Array {
  const frame = packetOf(seed, bytes);
  const view = new DataView(frame.buffer);
  view.setUint16(16, bytes - 14);
  frame.set([64, protocol], 22);
  frame.set([10, 0, 0, 1, 10, 0, 0, 2, seed >> 8, seed & 255, 0, 80], 26);
  frame[46] = 0x50;
  const pseudo = inet.pseudoHeader4(frame.subarray(26, 30), frame.subarray(30, 34), protocol, pseudoLength);
  if (protocol === TCP) view.setUint16(50, ~inet.finish(pseudo) & 0xffff);
  return frame;
}

const dataWord = (bytes: number, cmd: bigint, offsets: bigint, tag = 0): bigint =>
  (cmd << 4n) | (offsets << 16n) | (BigInt(bytes) << 34n) | (BigInt(tag) << 48n);
const offsetsOf = (l4Words: number): bigint => 7n | (5n << 7n) | (BigInt(l4Words) << 14n);

function checksumWork(protocol: typeof TCP | typeof SCTP, bytes: number, pieces: number): GuestWork {
  const offsets = offsetsOf(protocol === TCP ? 5 : 3);
  const run = bytes / pieces;
  return {
    packets: Math.floor(RUN_PACKETS / pieces),
    bytes,
    packet: (i) => packet(protocol, bytes, i),
    descriptors: (_, address) =>
      Array.from({ length: pieces }, (_, piece) => [
        address + BigInt(piece * run),
        dataWord(run, (piece === pieces - 1 ? EOP_RS : 2n) | IPV4_CHECKSUM | L4[protocol], offsets),
      ]).flat(),
  };
}

const MSS = 1460;
const SEGMENTS = 10;

function tsoWork(): GuestWork {
  const bytes = 54 + SEGMENTS * MSS;
  const context = 1n | (1n << 4n) | (BigInt(SEGMENTS * MSS) << 30n) | (BigInt(MSS) << 50n);
  return {
    packets: 96,
    bytes,
    packet: (i) => packet(TCP, bytes, i, 0),
    descriptors: (_, address) => [
      0n,
      context,
      address,
      dataWord(bytes, EOP_RS | IPV4_CHECKSUM | L4[TCP], offsetsOf(5)),
    ],
  };
}

const tagWork = (bytes: number): GuestWork => ({
  packets: RUN_PACKETS,
  bytes,
  packet: (i) => packetOf(i, bytes),
  descriptors: (_, address) => [address, dataWord(bytes, EOP_RS | 8n, 0n, TAG)],
});

/** What the guest sends, received and dropped. */
async function sendBench(
  work: GuestWork,
  bytes: number,
  name: string,
  arena: Arena,
  effort: Effort,
): Promise<Result[]> {
  const { openRxQueue } = await import("@emudev/avfbe-ethdev/data");
  const pool = Mempool.createPktmbuf(arena, name, { n: MBUFS });
  const guest = new BenchGuest(arena, pool, bytes, { work });
  guest.crcTables(crc32cTables(arena, `${name} crc`));
  const pkts = arena.memzoneReserve(`${name} pkts`, 4 * MBUFS).off;
  const kernels = shmKernels(arena);
  const rx = openRxQueue(envOf(arena, name), guest.rxq, 0, 0);
  const count = work.descriptors(0, 0n).length === 4 && bytes === 1514 ? work.packets * SEGMENTS : work.packets;
  let done = 0;
  let last = 0;
  const ours: Variant = {
    name: "kernel",
    prepare: () => guest.sendWork(),
    run() {
      for (done = 0; done < count; done += last) {
        const got = rx.burst(pkts, BURST);
        kernels.pktmbuf_free_bulk(LCORE, pkts, got);
        if (got === 0) break;
        last = got;
      }
    },
    check(thorough) {
      assertDone(`${name}: packets`, done, count);
      guest.checkHeads(true, false);
      if (!thorough) return;
      assertDone(`${name}: mbufs held`, pool.inUseCount(), 0);
      // The last burst's mbufs are free, but not yet used again.
      for (let i = 0; i < last; i++) checkSent(name, mbufData(arena, arena.u32[(pkts >>> 2) + i]!), bytes);
    },
  };
  try {
    return [compare(name, { count, unit: "packet" }, ours, [], effort)];
  } finally {
    guest.free(arena);
    for (const zone of [`${name} pkts`, `${name} crc`, `QS_${name}`]) arena.memzoneFree(zone);
    pool.free();
  }
}

/** Length, tag and checksums of a packet that the guest sent. */
function checkSent(name: string, frame: Uint8Array, bytes: number): void {
  assertDone(`${name}: length`, frame.length, bytes);
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  if (view.getUint16(12) === 0x8100) {
    assertDone(`${name}: tag`, view.getUint16(14), TAG);
    return;
  }
  assertDone(`${name}: IPv4 checksum`, inet.checksum(frame, 14, 20), 0);
  const l4 = frame.subarray(34);
  if (frame[23] === SCTP) {
    const copy = l4.slice();
    const crc = new DataView(copy.buffer).getUint32(8, true);
    copy.fill(0, 8, 12);
    assertDone(`${name}: CRC-32C`, crc32c(copy), crc);
    return;
  }
  const pseudo = inet.pseudoHeader4(frame.subarray(26, 30), frame.subarray(30, 34), TCP, l4.length);
  assertDone(`${name}: TCP checksum`, inet.finish(inet.sum(l4, 0, l4.length, pseudo)), 0);
}

/** Ready mbufs' packets given to a guest that has tags stripped, or to one with four queues and RSS. */
async function receiveBench(
  kind: "tagged" | "untagged" | "rss",
  bytes: number,
  name: string,
  arena: Arena,
  effort: Effort,
): Promise<Result[]> {
  const { openTxQueue } = await import("@emudev/avfbe-ethdev/data");
  const pool = Mempool.createPktmbuf(arena, name, { n: MBUFS });
  const rxQueues = kind === "rss" ? QUEUES : 1;
  const guest = new BenchGuest(arena, pool, bytes, { rxQueues });
  const pkts = arena.memzoneReserve(`${name} pkts`, 4 * MBUFS).off;
  const scratch = arena.memzoneReserve(`${name} scratch`, at("SPREAD_BYTES")).off;
  const table = rssTable(arena, `${name} table`, QUEUES);
  if (kind === "rss") guest.spread(table, scratch);
  else guest.strip();
  const kernels = shmKernels(arena);
  fill(arena, pool, pkts, (i) => {
    if (kind === "rss") return packet(TCP, bytes, i);
    const frame = packetOf(5, bytes);
    if (kind === "tagged") frame.set([0x81, 0x00, TAG >> 8, TAG & 255, 0x08, 0x00], 12);
    return frame;
  });
  const tx = openTxQueue(envOf(arena, name), guest.txq, 0, 0);
  const taken = (): number => Array.from({ length: rxQueues }, (_, i) => guest.received(i)).reduce((a, b) => a + b, 0);
  let before = 0;
  let done = 0;
  const ours: Variant = {
    name: "kernel",
    prepare() {
      guest.postAll();
      before = taken();
    },
    run() {
      for (done = 0; done < RUN_PACKETS; ) {
        const got = kernels.mempool_get_bulk(pool.off, LCORE, pkts, BURST);
        const sent = tx.burst(pkts, got);
        if (sent < got) kernels.mempool_put_bulk(pool.off, LCORE, pkts + 4 * sent, got - sent);
        if (sent === 0) break;
        done += sent;
      }
    },
    check(thorough) {
      assertDone(`${name}: packets`, done, RUN_PACKETS);
      assertDone(`${name}: packets at the guest`, taken() - before, RUN_PACKETS);
      if (!thorough) return;
      for (let queue = 0; queue < rxQueues; queue++) checkReceived(name, kind, guest, queue, bytes);
    },
  };
  try {
    return [compare(name, { count: RUN_PACKETS, unit: "packet" }, ours, [], effort)];
  } finally {
    guest.free(arena);
    for (const zone of ["pkts", "scratch", "table"]) arena.memzoneFree(`${name} ${zone}`);
    arena.memzoneFree(`QS_${name}`);
    pool.free();
  }
}

/** The last packets of a queue: length, tag taken out, hash and that it leads to this queue. */
function checkReceived(name: string, kind: string, guest: BenchGuest, queue: number, bytes: number): void {
  for (let n = 0; n < 8; n++) {
    const { hash, status, bytes: frame } = guest.last(queue, n);
    assertDone(`${name}: length`, frame.length, kind === "tagged" ? bytes - 4 : bytes);
    assertDone(`${name}: EtherType`, (frame[12]! << 8) | frame[13]!, 0x0800);
    assertDone(`${name}: tag`, Number((status >> 2n) & 1n), kind === "tagged" ? 1 : 0);
    if (kind !== "rss") continue;
    assertDone(`${name}: hash`, Number(status >> BigInt(RX_STATUS_FLTSTAT_SHIFT)) & 3, RX_FLTSTAT_RSS);
    assertDone(`${name}: queue`, (hash & 63) % QUEUES, queue);
  }
}

/** Writes packet i into mbuf i of the pool and puts all back: mbufs taken raw are then ready to be sent. */
function fill(arena: Arena, pool: Mempool, pkts: number, packetAt: (i: number) => Uint8Array): void {
  const kernels = shmKernels(arena);
  assertDone("mbufs", kernels.pktmbuf_alloc_bulk(pool.off, LCORE, pkts, MBUFS), MBUFS);
  arena.u32.subarray(pkts >>> 2, (pkts >>> 2) + MBUFS).forEach((mbuf, i) => {
    const frame = packetAt(i);
    mbufAppend(arena, mbuf, frame.length);
    mbufData(arena, mbuf).set(frame);
  });
  kernels.pktmbuf_free_bulk(LCORE, pkts, MBUFS);
}

const envOf = (arena: Arena, name: string): LcoreEnv => ({
  id: LCORE,
  index: LCORE,
  arena,
  qsbr: Qsbr.create(arena, name),
  off: 0,
  scratch: 0,
  stopping: () => false,
  nowUs: () => 0,
  deadlineUs: Number.POSITIVE_INFINITY,
});
