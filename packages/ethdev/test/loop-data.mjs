// Data module of the tests' driver: a port whose transmit queue q feeds its own receive queue q through a ring. What an lcore
// runs; plain JavaScript, since a thread of Node 20 cannot load TypeScript.
import { pollLoop } from "@emudev/eal/data";
import { openPort, QSTATS_BYTES_TOTAL, QSTATS_MISSED, QSTATS_PACKETS } from "@emudev/ethdev/data";
import { Ring } from "@emudev/shm/data";

function counter(arena, off) {
  return (n) => {
    arena.u64[off >>> 3] += BigInt(n);
  };
}

export function openRxQueue(env, off) {
  const ring = new Ring(env.arena, env.arena.u32[(off + QSTATS_BYTES_TOTAL) >>> 2]);
  const packets = counter(env.arena, off + QSTATS_PACKETS);
  return {
    burst(pkts, n) {
      const got = ring.dequeueBurst(pkts, n);
      packets(got);
      return got;
    },
  };
}

export function openTxQueue(env, off) {
  const ring = new Ring(env.arena, env.arena.u32[(off + QSTATS_BYTES_TOTAL) >>> 2]);
  const packets = counter(env.arena, off + QSTATS_PACKETS);
  const missed = counter(env.arena, off + QSTATS_MISSED);
  return {
    burst(pkts, n) {
      const sent = ring.enqueueBurst(pkts, n);
      packets(sent);
      missed(n - sent);
      return sent;
    },
  };
}

/** Sends arg.count numbers through queue 0 and takes them back; returns their sum. */
export async function main(env, arg) {
  const { rx, tx } = await openPort(env, arg.port);
  const { u32 } = env.arena;
  const out = env.scratch;
  const back = env.scratch + 4096;
  let next = 1;
  let sum = 0;
  pollLoop(env, () => {
    let n = 0;
    while (n < 32 && next + n <= arg.count) u32[(out >>> 2) + n] = next + n++;
    next += n === 0 ? 0 : tx[0].burst(out, n);
    const got = rx[0].burst(back, 32);
    for (let i = 0; i < got; i++) sum += u32[(back >>> 2) + i];
    Atomics.store(env.arena.i32, arg.word >>> 2, sum);
    return got;
  });
  return sum;
}
