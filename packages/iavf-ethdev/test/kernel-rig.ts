// What the kernel tests stand on: an arena with a pool, a queue as the port would reserve it, and the words of its state by
// name. One arena a test file, since each is 4 GiB of address space.
import { Arena, Mempool, mbufAlloc, mbufFree, mbufSegments } from "@emudev/shm";
import { ptypeTable } from "../src/control/ptypes.ts";
import { reserveRxQueue, reserveTxQueue } from "../src/control/queue-memory.ts";
import { iavfKernels } from "../src/data/kernels.ts";

export const LCORE = 1;
export const PORT = 3;
export const BUF_SIZE = 256;

export const arena = Arena.create({ ownBytes: 32 * 2 ** 20 });
export const kernels = iavfKernels(arena);
export const pkts = arena.memzoneReserve("pkts", 4096).off;
const bell = arena.memzoneReserve("bell", 64).off;
export const kick = arena.memzoneReserve("kick", 64).off;
export const ptypes = arena.memzoneReserve("ptypes", 1024).off;
arena.u32.set(ptypeTable(), ptypes >>> 2);
let serial = 0;

export const word = (off: number, field = 0) => arena.u32[(off + field) >>> 2]!;
export const setWord = (off: number, field: number, value: number) => {
  arena.u32[(off + field) >>> 2] = value;
};
export const tailWord = () => word(bell);
export const qword = (off: number) => arena.u64[off / 8]!;
export const setQword = (off: number, value: bigint) => {
  arena.u64[off / 8] = value;
};
/** The mbufs that a burst returned. */
export const takePkts = (n: number) => Array.from(arena.u32.subarray(pkts >>> 2, (pkts >>> 2) + n));

export interface Rig {
  pool: Mempool;
  q: { off: number; ringOff: number; size: number; free(): void };
  /** Packets that the test holds, to starve the pool. */
  hoard: number[];
  end(): void;
}

function rig(poolSize: number, make: (name: string, pool: Mempool) => Rig["q"]): Rig {
  const name = `t${serial++}`;
  const pool = Mempool.createPktmbuf(arena, name, { n: poolSize, cacheSize: 32, dataRoomSize: 128 + BUF_SIZE });
  const q = make(name, pool);
  const hoard: number[] = [];
  setWord(bell, 0, 0xdead);
  return {
    pool,
    q,
    hoard,
    end() {
      for (const mbuf of hoard) mbufFree(arena, LCORE, mbuf);
      q.free();
      pool.free();
    },
  };
}

export const rxRig = (size: number, poolSize: number, maxPkt: number) =>
  rig(poolSize, (name, pool) =>
    reserveRxQueue(arena, `${name}_q`, {
      size,
      doorbell: { word: bell, kick },
      pool: pool.off,
      bufSize: BUF_SIZE,
      maxPkt,
      ptypes,
      portId: PORT,
    }),
  );

export const txRig = (size: number, poolSize: number, maxPkt: number) =>
  rig(poolSize, (name) => reserveTxQueue(arena, `${name}_q`, { size, doorbell: { word: bell, kick: 0 }, maxPkt }));

/** Takes `n` mbufs out of the pool, as far as there are any. */
export function starve(rig: Rig, n: number): void {
  for (let i = 0; i < n; i++) {
    const mbuf = mbufAlloc(rig.pool, LCORE);
    if (mbuf === 0) return;
    rig.hoard.push(mbuf);
  }
}

export function feed(rig: Rig, n: number): void {
  for (const mbuf of rig.hoard.splice(0, n)) mbufFree(arena, LCORE, mbuf);
}

/** mbufs that the test holds. */
export const hoarded = (rig: Rig): number => rig.hoard.reduce((sum, head) => sum + mbufSegments(arena, head).length, 0);
