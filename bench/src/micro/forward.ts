// `fwd/MODE`: a packet of 64 bytes through each forwarding mode of testpmd, its own modules and streams, from a guest's transmit
// ring to a guest's receive ring: addresses rewritten, echo requests answered, copies made by reference. The measure is mode io
// in the same round, so the ratio is what a mode adds to it. Every packet is checked once a round for what the mode promises.
import type { LcoreEnv } from "@emudev/eal/data";
import { type Arena, Mempool, Qsbr } from "@emudev/shm";
import { at } from "../layout.ts";
import { assertDone, compare, type Effort, type Result, type Variant } from "../measure.ts";
import { BenchGuest, type GuestWork, RUN_PACKETS } from "./guest.ts";

const BYTES = 64;
const BURST = 32;
const LCORE = 1;
const PEER = [2, 0, 0, 0, 0, 1]; // the guest's own address: what is sent back must pass its filter
const PORT = [2, 0, 0, 0, 0, 2];

type Step = () => number;
interface FwdStream {
  readonly off: number;
}
interface Modes {
  Stream: new (
    env: LcoreEnv,
    task: object,
    stream: object,
    rx: unknown,
    tx: unknown,
    copies?: readonly unknown[],
  ) => FwdStream;
  modes: Record<string, (stream: FwdStream) => Step>;
  layout: Record<string, number>;
  makeHead(target: Uint8Array, source: Uint8Array, bytes: number): Uint8Array;
}

const dist = (path: string): string => new URL(`../../../apps/testpmd/dist/${path}`, import.meta.url).href;

async function load(): Promise<Modes> {
  const names = ["io", "mac", "macswap", "rxonly", "txonly", "icmpecho"];
  const modules = await Promise.all(names.map((name) => import(dist(`fwd/${name}.js`))));
  const modes = Object.fromEntries(names.map((name, i) => [name, modules[i][name]]));
  return {
    Stream: (await import(dist("fwd/stream.js"))).Stream,
    modes: { ...modes, flood: modes.io },
    layout: { ...(await import(dist("layout/stream.js"))), ...(await import(dist("layout/trace.js"))) },
    makeHead: (await import(dist("control/head.js"))).makeHead,
  };
}

/** An ICMP echo request over IPv4 to the port, with a payload that tells it from the others. */
function request(i: number): Uint8Array {
  const packet = new Uint8Array(BYTES);
  packet.set([...PORT, ...PEER, 0x08, 0x00]);
  packet.set(
    [0x45, 0, 0, 50, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 8, 0, 0, 0, 0, 1, i >> 8, i & 255],
    14,
  );
  for (let at = 42; at < BYTES; at++) packet[at] = (i * 7 + at * 13) & 0xff;
  const sum = (from: number, to: number): number => {
    let total = 0;
    for (let at = from; at < to; at += 2) total += packet[at]! * 256 + packet[at + 1]!;
    while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
    return ~total & 0xffff;
  };
  packet.set([sum(14, 34) >> 8, sum(14, 34) & 255], 24);
  packet.set([sum(34, BYTES) >> 8, sum(34, BYTES) & 255], 36);
  return packet;
}

const PACKETS = Array.from({ length: RUN_PACKETS }, (_, i) => request(i));
const WORK: GuestWork = {
  packets: RUN_PACKETS,
  bytes: BYTES,
  packet: (i) => PACKETS[i]!,
  descriptors: (_i, address) => [
    address,
    (BigInt(BYTES) << BigInt(at("TX_BUF_SIZE_SHIFT"))) | (3n << BigInt(at("TX_CMD_SHIFT"))),
  ],
};

/** What becomes of a packet, null where the guest gets none of its packets back. */
const EXPECTED: Record<string, ((packet: Uint8Array) => (got: Uint8Array) => boolean) | null> = {
  io: (packet) => (got) => Buffer.compare(got, packet) === 0,
  flood: (packet) => (got) => Buffer.compare(got, packet) === 0,
  mac: (packet) => (got) => headIs(got, PEER, PORT) && Buffer.compare(got.subarray(12), packet.subarray(12)) === 0,
  macswap: (packet) => (got) => headIs(got, PEER, PORT) && Buffer.compare(got.subarray(12), packet.subarray(12)) === 0,
  icmpecho: (packet) => (got) =>
    headIs(got, PEER, PORT) && got[34] === 0 && Buffer.compare(got.subarray(38), packet.subarray(38)) === 0,
  txonly: () => (got) => headIs(got, PEER, PORT) && got[12] === 8 && got[13] === 0,
  rxonly: null,
};

const headIs = (packet: Uint8Array, target: readonly number[], source: readonly number[]): boolean =>
  Buffer.compare(packet.subarray(0, 12), Uint8Array.from([...target, ...source])) === 0;

const MODES = ["mac", "macswap", "icmpecho", "flood", "rxonly", "txonly"] as const;

export async function forwardBench(arena: Arena, name: string, effort: Effort): Promise<Result[]> {
  const modes = await load();
  const { openRxQueue, openTxQueue } = await import("@emudev/avfbe-ethdev/data");
  const { layout } = modes;
  const pool = Mempool.createPktmbuf(arena, name, { n: 2048 });
  const guest = new BenchGuest(arena, pool, BYTES, { rxQueues: 2, work: WORK });
  const zone = arena.memzoneReserve(`${name} stream`, layout.STREAM_BYTES! + layout.FWD_BLOCK_BYTES!, 64).off;
  const block = zone + layout.STREAM_BYTES!;
  const trace = arena.memzoneReserve(`${name} trace`, layout.TRACE_BYTES!, 64).off;
  const qsbr = Qsbr.create(arena, name);
  const base = { id: LCORE, index: LCORE, arena, qsbr, off: 0, scratch: 0 };
  const env: LcoreEnv = { ...base, stopping: () => false, nowUs: () => 0, deadlineUs: Number.POSITIVE_INFINITY };
  const { u8, u16, u32, f64 } = arena;
  u32[(block + layout.FWD_BURST!) >>> 2] = BURST;
  u8.set([...PEER, ...PORT], zone + layout.STREAM_MACS!);
  const head = modes.makeHead(Uint8Array.from(PEER), Uint8Array.from(PORT), BYTES);
  u32[(zone + layout.STREAM_SEGS!) >>> 2] = 1;
  u16[(zone + layout.STREAM_SEG_LEN!) >>> 1] = BYTES;
  u32[(zone + layout.STREAM_HEAD_LEN!) >>> 2] = head.length;
  u8.set(head, zone + layout.STREAM_HEAD!);
  const queue = { module: "", off: 0, portId: 0, queueId: 0 };
  guest.promiscuous();

  // A second transmit queue for copies: the same port, to the guest's second receive queue.
  const copyQueue = arena.memzoneReserve(`${name} copies`, 128, 64).off;
  u8.copyWithin(copyQueue, guest.txq, guest.txq + 128);
  u32[(copyQueue + at("TXQ_GUEST")) >>> 2]! += at("GRX_BYTES");
  const variant = (mode: string): Variant => {
    const task = { mode, block, pool: pool.off, trace, streams: [], shared: false, txFirst: 0 };
    const copies = mode === "flood" ? [queue] : [];
    const rx = openRxQueue(env, guest.rxq, 0, 0);
    const tx = openTxQueue(env, guest.txq, 0, 0);
    const copyTo = copies.map(() => openTxQueue(env, copyQueue, 0, 0));
    const stream = new modes.Stream(env, task, { off: zone, rx: queue, tx: queue, copies }, rx, tx, copyTo);
    const step = modes.modes[mode]!(stream);
    const expected = EXPECTED[mode]!;
    const got = (): number[] => [guest.received(0), guest.received(1)];
    let done = 0;
    let before = got();
    return {
      name: mode,
      prepare() {
        if (mode !== "txonly") guest.sendWork();
        guest.postAll();
        before = got();
      },
      run() {
        for (done = 0; done < RUN_PACKETS; ) {
          const moved = step();
          if (moved === 0) break;
          done += moved;
        }
      },
      check(thorough) {
        assertDone(`${name}/${mode}: packets`, done, RUN_PACKETS);
        const received = got().map((count, i) => count - before[i]!);
        assertDone(`${name}/${mode}: received`, received[0]!, expected === null ? 0 : RUN_PACKETS);
        assertDone(`${name}/${mode}: copies`, received[1]!, copies.length * RUN_PACKETS);
        if (!thorough) return;
        assertDone(`${name}/${mode}: dropped`, f64[(zone + layout.STREAM_DROPPED!) >>> 3]!, 0);
        if (expected === null) return;
        for (let i = 0; i < RUN_PACKETS; i++)
          for (let to = 0; to <= copies.length; to++) {
            const right = expected(PACKETS[RUN_PACKETS - 1 - i]!)(guest.last(to, i).bytes);
            assertDone(`${name}/${mode}: packet ${i} is right`, Number(right), 1);
          }
      },
    };
  };
  try {
    const items = { count: RUN_PACKETS, unit: "packet" };
    const results: Result[] = [];
    for (const mode of MODES) {
      results.push(compare(`${name}/${mode}`, items, variant(mode), [variant("io")], effort));
      // A lending mode leaves its last burst with the guest until the next.
      if (mode !== "flood") assertDone(`${name}/${mode}: mbufs held`, pool.inUseCount(), 0);
    }
    return results;
  } finally {
    guest.free(arena);
    for (const what of [`${name} stream`, `${name} trace`, `${name} copies`, `QS_${name}`]) arena.memzoneFree(what);
    pool.free();
  }
}
