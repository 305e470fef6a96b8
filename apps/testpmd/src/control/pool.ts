// The mempool from which an arrangement makes packets, and what its kernel may rely on. Called by forwarding.ts at each start.
import type { Arena, Mempool } from "@emudev/shm";
import { STREAM_ZEROS } from "../layout/stream.ts";
import type { Arrangement } from "./forwarding.ts";
import type { Ports } from "./ports.ts";

/** txonly's own pool where there is room for one, whose zeros the streams are told of; else the pool of all. */
export function poolFor({ mode, lcores }: Arrangement, ports: Ports, { u32 }: Arena): Mempool {
  const own = mode === "txonly" ? ports.txPool() : null;
  for (const { streams } of lcores)
    for (const { off } of streams) u32[(off + STREAM_ZEROS) >>> 2] = own === null ? 0 : 1;
  return own ?? ports.pool();
}
