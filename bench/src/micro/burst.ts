// net_avfbe's bursts of 32 at three packet sizes, as a polling lcore makes them: rx and drop (rxonly), tx of ready mbufs
// (txonly), rx then tx (io). Through the driver's data module, interrupts included, against the same in C with the faster
// of two copies. Nanoseconds a packet.
import type { LcoreEnv } from "@emudev/eal/data";
import { type Arena, Mempool, mbufAppend, mbufData, Qsbr, shmKernels } from "@emudev/shm";
import { assertDone, compare, type Effort, type Result, type Variant } from "../measure.ts";
import { loadNative } from "../native.ts";
import { BenchGuest, packetOf, RUN_PACKETS } from "./guest.ts";

const BURST = 32;
const LCORE = 1;
const MBUFS = 2048;

const KINDS = ["rx", "tx", "rxtx"] as const;
type Kind = (typeof KINDS)[number];

export const burstBenches = [64, 256, 1518].flatMap((bytes) =>
  KINDS.map((kind) => {
    const name = `avfbe/${kind}-${bytes}`;
    return { name, run: (arena: Arena, effort: Effort) => burstBench(name, kind, bytes, arena, effort) };
  }),
);

async function burstBench(name: string, kind: Kind, bytes: number, arena: Arena, effort: Effort): Promise<Result[]> {
  const { openRxQueue, openTxQueue } = await import("@emudev/avfbe-ethdev/data");
  const pool = Mempool.createPktmbuf(arena, name, { n: MBUFS });
  const guest = new BenchGuest(arena, pool, bytes);
  const pkts = arena.memzoneReserve(`${name} pkts`, 4 * MBUFS).off;
  const qsbr = Qsbr.create(arena, name);
  const env: LcoreEnv = {
    id: LCORE,
    index: LCORE,
    arena,
    qsbr,
    off: 0,
    scratch: 0,
    stopping: () => false,
    nowUs: () => 0,
    deadlineUs: Number.POSITIVE_INFINITY,
  };
  const rx = openRxQueue(env, guest.rxq, 0, 0);
  const tx = openTxQueue(env, guest.txq, 0, 0);
  const kernels = shmKernels(arena);
  const shared = { arena, pool, guest, pkts, name };
  const made = kind === "tx" ? fillPool(arena, pool, pkts, bytes) : undefined;

  let done = 0;
  const rxOnly = () => {
    for (done = 0; done < RUN_PACKETS; ) {
      const got = rx.burst(pkts, BURST);
      kernels.pktmbuf_free_bulk(LCORE, pkts, got);
      if (got === 0) break;
      done += got;
    }
  };
  const txOnly = () => {
    for (done = 0; done < RUN_PACKETS; ) {
      const got = kernels.mempool_get_bulk(pool.off, LCORE, pkts, BURST);
      const sent = tx.burst(pkts, got);
      if (sent < got) kernels.mempool_put_bulk(pool.off, LCORE, pkts + 4 * sent, got - sent);
      if (sent === 0) break;
      done += sent;
    }
  };
  const rxTx = () => {
    for (done = 0; done < RUN_PACKETS; ) {
      const got = rx.burst(pkts, BURST);
      const sent = tx.burst(pkts, got);
      if (sent < got) kernels.pktmbuf_free_bulk(LCORE, pkts + 4 * sent, got - sent);
      if (got === 0) break;
      done += got;
    }
  };
  const prepare = (thorough: boolean) => {
    if (kind !== "tx") guest.send();
    if (kind !== "rx") guest.post(thorough);
  };
  const check = (thorough: boolean) => {
    assertDone(`${name}: packets`, done, RUN_PACKETS);
    guest.checkHeads(kind !== "tx", kind !== "rx");
    if (thorough) checkRun(kind, shared, made);
  };
  const ours: Variant = { name: "kernel", prepare, check, run: { rx: rxOnly, tx: txOnly, rxtx: rxTx }[kind] };
  const native = loadNative("burst");
  const baselines = ["libc", "vec"].flatMap((copy): Variant[] => {
    const run = native?.func(`run_${kind}_${copy}`, 7);
    if (run === undefined) return [];
    const call = () => {
      done = run(arena.base, guest.rxq, guest.txq, pkts, BURST, LCORE, pool.off, RUN_PACKETS);
    };
    return [{ name: `C ${copy}`, prepare, check, run: call }];
  });
  try {
    return [compare(name, { count: RUN_PACKETS, unit: "packet" }, ours, baselines, effort)];
  } finally {
    guest.free(arena);
    arena.memzoneFree(`${name} pkts`);
    arena.memzoneFree(`QS_${name}`);
    pool.free();
  }
}

/** Writes a packet into every mbuf of the pool and puts all back: mbufs taken raw are then ready to be sent. */
function fillPool(arena: Arena, pool: Mempool, pkts: number, bytes: number): Uint8Array {
  const kernels = shmKernels(arena);
  const packet = packetOf(5, bytes);
  assertDone("mbufs", kernels.pktmbuf_alloc_bulk(pool.off, LCORE, pkts, MBUFS), MBUFS);
  for (const mbuf of arena.u32.subarray(pkts >>> 2, (pkts >>> 2) + MBUFS)) {
    mbufAppend(arena, mbuf, bytes);
    mbufData(arena, mbuf).set(packet);
  }
  kernels.pktmbuf_free_bulk(LCORE, pkts, MBUFS);
  return packet;
}

function checkRun(
  kind: Kind,
  { arena, pool, guest, pkts, name }: { arena: Arena; pool: Mempool; guest: BenchGuest; pkts: number; name: string },
  made: Uint8Array | undefined,
): void {
  assertDone(`${name}: mbufs held`, pool.inUseCount(), 0);
  if (kind !== "tx") guest.checkSent();
  if (kind !== "rx") guest.checkReceived(made === undefined ? (n) => guest.sent(n) : () => made);
  if (kind !== "rx") return;
  // The last burst's mbufs are free, but not yet used again.
  for (let i = 0; i < BURST; i++) {
    const data = mbufData(arena, arena.u32[(pkts >>> 2) + i]!);
    assertDone(`${name}: mbuf ${i}`, Buffer.compare(data, guest.sent(RUN_PACKETS - BURST + i)), 0);
  }
}
