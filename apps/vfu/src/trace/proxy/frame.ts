// One message on its way through the proxy, as it was read from a socket: its bytes and the fds that came with each of them. What
// cannot be framed as a message is a frame as well, so that nothing is lost: "torn" is the rest of a stream that ended in the
// middle of a message, "large" the first part of one that is longer than what is held (the rest follows unseen).

/** fds that came with the byte at `at`. */
export interface Mark {
  at: number;
  fds: number[];
}

export interface Frame {
  kind: "message" | "torn" | "large";
  /** The receive buffer: valid until the handler returns. */
  bytes: Uint8Array;
  /** Length that the header gives. */
  size: number;
  marks: readonly Mark[];
  /** fds were lost on the way in: more came than this process can hold. */
  fdsLost: boolean;
  /** Nanoseconds since 1970. */
  time: bigint;
}

/** What goes on instead of a frame: other bytes, other fds, or both. All fds go with the first byte. */
export interface Rewritten {
  bytes: Uint8Array;
  fds: number[];
  /** fds that end here: closed once the frame has been dealt with. */
  drop: number[];
  /** For the trace: what was changed. */
  note: string;
}

export const HEADER_SIZE = 16;

const epoch = BigInt(Date.now()) * 1_000_000n - process.hrtime.bigint();

/** Nanoseconds since 1970, never going back. */
export function now(): bigint {
  return epoch + process.hrtime.bigint();
}

export function fdsOf({ marks }: Frame): number[] {
  return marks.length === 0 ? [] : marks.flatMap(({ fds }) => fds);
}
