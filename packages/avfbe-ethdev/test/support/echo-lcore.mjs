// What the lcore of the port tests runs: sends every packet back on the queue of its number, source and destination swapped,
// and frees what the port does not take. Plain JavaScript, since a worker imports it as it is.
import { pollLoop } from "@emudev/eal/data";
import { openPort } from "@emudev/ethdev/data";
import { mbufData, mbufFree } from "@emudev/shm/data";

export async function main(env, { port, pkts }) {
  const { rx, tx } = await openPort(env, port);
  const { arena, index } = env;
  const counts = { received: 0, sent: 0 };
  pollLoop(env, () => {
    let moved = 0;
    for (let queue = 0; queue < rx.length; queue++) {
      const n = rx[queue].burst(pkts, 32);
      moved += n;
      if (n === 0) {
        tx[queue].flush?.();
        continue;
      }
      for (let i = 0; i < n; i++) {
        const data = mbufData(arena, arena.u32[(pkts >>> 2) + i]);
        const to = data.slice(0, 6);
        data.copyWithin(0, 6, 12);
        data.set(to, 6);
      }
      const sent = tx[queue].burst(pkts, n);
      for (let i = sent; i < n; i++) mbufFree(arena, index, arena.u32[(pkts >>> 2) + i]);
      counts.received += n;
      counts.sent += sent;
    }
    return moved;
  });
  return counts;
}
