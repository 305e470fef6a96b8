// What a connection (connection.ts) hands to its owner: a message in its receive buffer, or, to whoever wants to be faster than
// that, the bare bytes of one (Shortcut). Implemented by the server's session and register-path.ts, and by the client.

import type * as header from "../wire/header.ts";

/** Why a message is to be answered with an error whatever it says. */
export type Fault = "size" | "oversize" | "fds" | "socket";

export interface Message {
  header: header.Header;
  /** Payload bytes `[at, at + length)` of `view`, valid only until the handler returns: it is the receive buffer. */
  view: DataView;
  at: number;
  length: number;
  /** Owned by the handler, which must pass each on or close it. */
  fds: number[];
  fault: Fault | null;
}

/**
 * Is offered a whole message of `size` bytes that came without fds, at the start of `rx`. @returns bytes of the reply
 * that it has put at the start of `tx`, which has 64; or TAKEN, or DECLINED
 */
export type Shortcut = (rx: DataView, size: number, tx: DataView) => number;
/** The message is done with, and there is nothing to send. */
export const TAKEN = 0;
/** The message is to be delivered as any other. */
export const DECLINED = -1;
