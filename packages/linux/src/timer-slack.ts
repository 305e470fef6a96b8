// By how much the kernel may be late to wake a thread that sleeps (prctl(2), PR_SET_TIMERSLACK): 50 us unless it is told
// otherwise, more than half of what an lcore's first nap asks for. Called by each lcore's thread for itself.
import { syscall2 } from "./libc.ts";

const PRCTL = process.arch === "x64" ? 157 : 167;
const PR_SET_TIMERSLACK = 29;

/** Sets the calling thread's timer slack, at least 1 ns. Without the right to, it stays as it was: sleeps take longer. */
export function setTimerSlack(ns: number): void {
  syscall2(PRCTL, PR_SET_TIMERSLACK, ns);
}
