// What the lcore of the port tests runs: sends every packet back on the queue of its number, source and destination swapped;
// what the port does not take is offered again, or dropped, as testpmd does. Plain JavaScript, since a worker imports it as it is.
import { pollLoop } from "@emudev/eal/data";
import { openPort } from "@emudev/ethdev/data";
import { mbufData, mbufFree } from "@emudev/shm/data";

const BURST = 32;

export async function main(env, { ports, pkts, drop }) {
  const rx = [];
  const tx = [];
  for (const port of ports) {
    const handle = await openPort(env, port);
    rx.push(...handle.rx);
    tx.push(...handle.tx);
  }
  const { arena, index } = env;
  const counts = drop ? { received: 0, sent: 0, dropped: 0 } : { received: 0, sent: 0 };
  const waiting = rx.map(() => []);
  pollLoop(
    env,
    () => {
      let moved = 0;
      for (let queue = 0; queue < rx.length; queue++) {
        if (waiting[queue].length === 0) {
          const n = rx[queue].burst(pkts, BURST);
          counts.received += n;
          moved += n;
          waiting[queue] = Array.from(arena.u32.subarray(pkts >>> 2, (pkts >>> 2) + n));
          for (const mbuf of waiting[queue]) swap(mbufData(arena, mbuf));
        }
        if (waiting[queue].length === 0) {
          tx[queue].flush?.();
          continue;
        }
        arena.u32.set(waiting[queue], pkts >>> 2);
        const sent = tx[queue].burst(pkts, waiting[queue].length);
        // What is left: a burst that is spread over queues moves it behind what was taken.
        const left = arena.u32.subarray((pkts >>> 2) + sent, (pkts >>> 2) + waiting[queue].length);
        waiting[queue] = Array.from(left);
        counts.sent += sent;
        moved += sent;
        if (!drop) continue;
        counts.dropped += waiting[queue].length;
        for (const mbuf of waiting[queue].splice(0)) mbufFree(arena, index, mbuf);
      }
      return moved;
    },
    () => rx.every((queue) => queue.announced?.() === true),
  );
  for (const mbuf of waiting.flat()) mbufFree(arena, index, mbuf);
  return counts;
}

function swap(data) {
  const to = data.slice(0, 6);
  data.copyWithin(0, 6, 12);
  data.set(to, 6);
}
