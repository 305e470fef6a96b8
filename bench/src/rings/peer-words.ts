// What the two-thread ring benches and their peer share: commands in one word, and what the peer is started with.
import type { ArenaHandle } from "@emudev/shm";

/** Byte offset of the command word. The peer answers a command by WAIT or HALT the moment it begins. */
export const GO = 0;
export const WAIT = 0;
export const PEER_KERNEL = 1;
export const PEER_NATIVE = 2;
export const HALT = 3;
/** Byte offset of the count of objects that the next command sends. */
export const OBJECTS = 4;

export interface PeerData {
  handle: ArenaHandle;
  ringOff: number;
  words: number;
  input: number;
  burst: number;
  native: boolean;
  cpu: number;
}
