// What callers of a client say and are told: options of the connection, a region as the server describes it, memory to
// lend. client.ts has the operations.

import type { Clock, Log } from "../environment.ts";
import type { DmaMode } from "../server/device.ts";
import type { DmaHandlers } from "./channel.ts";

export interface ClientOptions extends DmaHandlers {
  log?: Log;
  clock?: Clock;
  /** For each reply; 0 waits for ever. Default 5000, as QEMU. */
  timeoutMs?: number;
  /** How long to wait for a server to appear. Default 0: it must be there. */
  waitMs?: number;
  /** Largest DMA_READ or DMA_WRITE that the server may send. Default 1 MiB. */
  maxDataXferSize?: number;
  /** Ask for a second socket for the server's DMA messages. Default false. */
  twinSocket?: boolean;
  /** Ask for REGION_WRITE_MULTI. Default false. */
  writeMultiple?: boolean;
  /** Ends the connection when it is aborted, at whatever point: what waits is rejected with VFU_CLOSED. */
  signal?: AbortSignal;
  /** A socket that is connected already; the path is then only a name. Taken over. */
  fd?: number;
}

export interface RegionInfo {
  /** REGION_FLAG bits. */
  flags: number;
  size: number;
  /** File offset of the region's first byte in `fd`. */
  offset: number;
  /** Mappable parts, by offset in the region; the whole region where a server lends an fd and names no parts. */
  areas: { offset: number; size: number }[];
  /** To map, the caller's to close; -1 when the region cannot be mapped. */
  fd: number;
}

export interface DmaMapRequest {
  iova: bigint;
  size: bigint;
  /** DMA_FLAG.READ and DMA_FLAG.WRITE. */
  prot: number;
  /** Stays the caller's. */
  fd?: number;
  fileOffset?: bigint;
  /** How the server is to use the fd: by mapping it (what it does when nothing is said), or by pread and pwrite. */
  mode?: DmaMode;
}
