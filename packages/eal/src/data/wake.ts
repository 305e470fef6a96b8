// Waking an lcore that naps: its wake word is incremented, so that a nap about to begin does not, and notified, so that one
// under way ends. Safe from any thread; called by providers for trapped doorbells and by the control side to stop an lcore.
import { signalEventfd } from "@emudev/linux/data";
import type { Arena } from "@emudev/shm/data";
import { LCORE_NAPPING, LCORE_STOP, LCORE_WAKE, LCORE_WAKE_FD, NAP_EVENTS } from "../layout/lcore.ts";

/** Ends the nap of the lcore whose words lie at `lcoreOff`, if it naps; a busy one does not notice. */
export function wakeLcore(arena: Arena, lcoreOff: number): void {
  const word = (lcoreOff + LCORE_WAKE) >>> 2;
  Atomics.add(arena.i32, word, 1);
  Atomics.notify(arena.i32, word);
  // It looks at the word once more after it has said so, and before it waits.
  if (Atomics.load(arena.i32, (lcoreOff + LCORE_NAPPING) >>> 2) === NAP_EVENTS)
    signalEventfd(arena.i32[(lcoreOff + LCORE_WAKE_FD) >>> 2]!);
}

/** Tells an lcore to leave its polling loop after the turn it is in. */
export function stopLcore(arena: Arena, lcoreOff: number): void {
  Atomics.store(arena.i32, (lcoreOff + LCORE_STOP) >>> 2, 1);
  wakeLcore(arena, lcoreOff);
}
