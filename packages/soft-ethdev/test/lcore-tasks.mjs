// What the tests run on an lcore; plain JavaScript, since a thread of Node 20 cannot load TypeScript.
import { pollLoop } from "@emudev/eal/data";
import { openPort } from "@emudev/ethdev/data";
import { shmKernels } from "@emudev/shm/data";

const BURST = 32;

/** Forwards from each pair's first port to its second, on queue 0, until told to stop. @returns drops */
export async function forward(env, { pairs }) {
  const kernels = shmKernels(env.arena);
  const open = await Promise.all(
    pairs.map(async ([from, to]) => [(await openPort(env, from)).rx[0], (await openPort(env, to)).tx[0]]),
  );
  const pkts = env.scratch;
  let dropped = 0;
  pollLoop(env, () => {
    let moved = 0;
    for (const [rx, tx] of open) {
      const got = rx.burst(pkts, BURST);
      if (got === 0) continue;
      moved += got;
      const sent = tx.burst(pkts, got);
      if (sent < got) kernels.pktmbuf_free_bulk(env.index, pkts + 4 * sent, got - sent);
      dropped += got - sent;
    }
    return moved;
  });
  return dropped;
}
