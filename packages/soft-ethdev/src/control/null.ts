// net_null: an endless source of equal packets and a sink, after DPDK's driver of that name. For measuring what an
// application costs without any device.
import type { DevargsOf } from "@emudev/eal";
import { KIND_NULL, SQ_BUFFER, SQ_COPY, SQ_PACKET, SQ_ROOM } from "../layout/queue.ts";
import { softDriver } from "./driver.ts";
import { SoftEthdevError } from "./errors.ts";
import { SoftPort } from "./soft-port.ts";

const PARAMS = {
  size: { type: "uint", min: 14, max: 2048, default: 64, help: "bytes of a received packet" },
  copy: { type: "bool", default: false, help: "1: each packet is really copied, both ways" },
  "no-rx": { type: "bool", default: false, help: "1: nothing is received" },
} as const;

const QUEUES = 16;
const COPY_BYTES = 65_536;

export const nullDriver = softDriver(
  "net_null",
  PARAMS,
  (vdev, eal, held) => {
    const { size, copy, "no-rx": noRx } = vdev.params as DevargsOf<typeof PARAMS>;
    const { arena } = eal;
    const zone = copy ? arena.memzoneReserve(`${vdev.name}.copy`, 2 * QUEUES * COPY_BYTES) : null;
    if (zone !== null) held.push(() => arena.memzoneFree(zone.name));
    const port = new SoftPort(eal, vdev.name, held, {
      driverName: "net_null",
      kind: KIND_NULL,
      queues: QUEUES,
      speedMbps: 10_000,
      maxFrame: 65_535,
      setUp(side, queue, off) {
        const room = arena.u32[(off + SQ_ROOM) >>> 2]!;
        if (side === "rx" && !noRx && size > room)
          throw new SoftEthdevError("DEVARGS", `size=${size}: the mbufs of queue ${queue} have room for ${room} bytes`);
        arena.u32[(off + SQ_PACKET) >>> 2] = side === "rx" && noRx ? 0 : size;
        arena.u32[(off + SQ_COPY) >>> 2] = copy ? 1 : 0;
        if (zone !== null)
          arena.u32[(off + SQ_BUFFER) >>> 2] = zone.off + (2 * queue + (side === "tx" ? 1 : 0)) * COPY_BYTES;
      },
    });
    return { port };
  },
  ["eth_null"],
);
