// Where a queue stands, in the provider's memory: 64 bytes a queue, so that no two share a cache line. The backend begins at
// the index of QPOS_DONE when it takes a queue up and is its only writer while it has the queue; the provider sets it before.
// A backend that may be killed at any time (`durable`) sets QPOS_NEXT before it gives descriptors back and QPOS_DONE after:
// where the two differ, those between them were being given back. Each is stored at once, a u32 with its complement above
// it, so that one that was damaged in a file is told from one that is whole. Compiled by both tsc and asc.
export const QPOS_DONE = 0; // u64: index of the first descriptor that is not given back, and flags of the backend
export const QPOS_NEXT = 8; // u64: the same, or the first descriptor behind those that are being given back
export const QPOS_BYTES = 64;
export const QPOS_INDEX = 0xffff; // the bits of the index; those above are the backend's own and mean nothing to the provider
