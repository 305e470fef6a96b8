// What the application's settings may be; the same checks for the command line and for the console's `set` commands.
import { MBUF_HEADROOM } from "@emudev/shm";
import { PmdError } from "../errors.ts";
import { BURST_MAX, SEGS_MAX } from "../layout/stream.ts";
import { HEAD_BYTES } from "./head.ts";

const refuse = (message: string): never => {
  throw new PmdError("COMMAND", message);
};

/** Packets a burst. */
export function checkBurst(burst: number): number {
  if (burst >= 1 && burst <= BURST_MAX) return burst;
  return refuse(`burst must be from 1 to ${BURST_MAX}, not ${burst}`);
}

/** Forwarding lcores. */
export function checkCores(count: number, workers: number): number {
  if (count >= 1 && count <= workers) return count;
  if (workers === 0)
    return refuse("no lcore can poll: the only one is the main lcore; give at least two by -l or --lcores");
  return refuse(`nb-cores must be from 1 to ${workers}, the lcores that can poll, not ${count} (see -l and --lcores)`);
}

/** The segments of a made packet: the first holds the headers, each fits an mbuf, together they fit an IPv4 packet. */
export function checkTxpkts(bytes: readonly number[], mbufSize: number): number[] {
  const room = mbufSize - MBUF_HEADROOM;
  if (bytes.length > SEGS_MAX) return refuse(`txpkts: ${bytes.length} segments; at most ${SEGS_MAX} are possible`);
  if (bytes[0]! < HEAD_BYTES) return refuse(`txpkts: the first segment must hold the headers, ${HEAD_BYTES} bytes`);
  const wrong = bytes.find((length) => length < 1 || length > room);
  if (wrong !== undefined) return refuse(`txpkts: a segment of ${wrong} bytes; an mbuf has room for 1 to ${room}`);
  return [...bytes];
}

/** Port ids, each once. */
export function checkPortlist(ids: readonly number[]): number[] {
  if (new Set(ids).size !== ids.length) return refuse(`portlist ${ids.join(",")}: a port is given twice`);
  return [...ids];
}
