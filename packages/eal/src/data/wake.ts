// Waking an lcore that naps: its wake word is incremented, so that a nap about to begin does not, and notified, so that one
// under way ends. Safe from any thread; called by providers for trapped doorbells and by the control side to stop an lcore.
import type { Arena } from "@emudev/shm/data";
import { LCORE_STOP, LCORE_WAKE } from "../layout/lcore.ts";

/** Ends the nap of the lcore whose words lie at `lcoreOff`, if it naps; a busy one does not notice. */
export function wakeLcore(arena: Arena, lcoreOff: number): void {
  const word = (lcoreOff + LCORE_WAKE) >>> 2;
  Atomics.add(arena.i32, word, 1);
  Atomics.notify(arena.i32, word);
}

/** Tells an lcore to leave its polling loop after the turn it is in. */
export function stopLcore(arena: Arena, lcoreOff: number): void {
  Atomics.store(arena.i32, (lcoreOff + LCORE_STOP) >>> 2, 1);
  wakeLcore(arena, lcoreOff);
}
