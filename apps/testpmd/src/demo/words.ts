// The words that a demo lcore and its main thread share: one to turn sending on, and counters as f64, which the lcore alone
// writes (exact to 2^53).
export const WORDS = {
  SEND: 0, // i32 atomic: 1 = send
  RECEIVED: 64,
  RECEIVED_BYTES: 72,
  HANDED: 80,
  WAITING: 88,
  FULL: 96,
  NO_BUFFER: 104,
  BYTES: 128,
} as const;
