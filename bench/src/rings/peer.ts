// The producing thread of the two-thread ring benches, on a CPU of its own: waits for a command, sends its objects by kernel
// or by C, waits again.
import { parentPort, workerData } from "node:worker_threads";
import { setAffinity } from "@emudev/linux/data";
import { Arena, shmKernels } from "@emudev/shm/data";
import { loadNative } from "../native.ts";
import { GO, HALT, OBJECTS, PEER_NATIVE, type PeerData, WAIT } from "./peer-words.ts";

const { handle, ringOff, words, input, burst, native, cpu } = workerData as PeerData;
const arena = Arena.attach(handle);
const kernels = shmKernels(arena);
const produce = native ? loadNative("ring")?.func("ring_produce", 4) : undefined;
const go = (words + GO) >>> 2;

setAffinity([cpu]);
parentPort?.postMessage("ready");
for (;;) {
  Atomics.wait(arena.i32, go, WAIT);
  const total = arena.u32[(words + OBJECTS) >>> 2]!;
  const command = Atomics.exchange(arena.i32, go, WAIT);
  if (command === HALT) break;
  if (command === PEER_NATIVE) produce?.(handle.base, ringOff, input, burst, total);
  else for (let sent = 0; sent < total; ) sent += kernels.ring_enqueue_bulk(ringOff, input, burst);
}
