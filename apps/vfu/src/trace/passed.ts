// A message as the proxy saw it pass, or as a capture file has it: the one form that the tracer takes.

export interface Passed {
  /** Of one client; from 1. */
  connection: number;
  channel: "main" | "twin";
  direction: "c>s" | "s>c";
  /** "torn": the stream ended in it. "large": only the first part was held. */
  kind: "message" | "torn" | "large";
  /** As it arrived, before any change on the way; valid until the callee returns. */
  bytes: Uint8Array;
  /** Length that its header gives. */
  size: number;
  /** Nanoseconds since 1970. */
  time: bigint;
  /** What the fds with it are. */
  fds: readonly string[];
  fdsLost: boolean;
  /** What the proxy changed on the way, or null. */
  note: string | null;
}
