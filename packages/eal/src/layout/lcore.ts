// The words that the main thread and one lcore share in the arena. Compiled by both tsc and asc.
export const LCORE_BYTES = 256;
export const LCORE_STOP = 0; // i32 atomic: 1 = leave the polling loop
export const LCORE_WAKE = 4; // i32 atomic: what a napping lcore waits on; incremented and notified to wake it
export const LCORE_STATE = 8; // i32 atomic: LCORE_WAIT, LCORE_RUNNING, LCORE_FINISHED
export const LCORE_NAPPING = 12; // i32 atomic: NAP_WORD or NAP_EVENTS, 0 = awake
export const LCORE_POLL_MODE = 16; // u32 POLL_BUSY, POLL_ADAPTIVE or POLL_INTERRUPT; read while idle
export const LCORE_RECORD = 20; // u32: 1 = turns are timed; read now and then
export const LCORE_WAIT_FD = 24; // i32 fd of the set of events that end a nap, 0 = none
export const LCORE_WAKE_FD = 28; // i32 eventfd of that set by which the lcore is woken
export const LCORE_LOOPS = 64; // u64 iterations of the polling loop
export const LCORE_BUSY_LOOPS = 72; // u64 iterations that moved a packet
export const LCORE_NAPS = 80; // u64
export const LCORE_NAP_US = 88; // u64 microseconds slept
export const LCORE_SCRATCH = 96; // u32 arena offset of LCORE_SCRATCH_BYTES of this lcore's own
export const LCORE_TIMED_NS = 104; // u64 nanoseconds during which turns were timed
export const LCORE_BUSY_NS = 112; // u64 nanoseconds of those in turns that moved a packet
export const LCORE_SCRATCH_BYTES = 65536;

export const NAP_WORD = 1; // in Atomics.wait: an lcore without a set
export const NAP_EVENTS = 2; // waiting for LCORE_WAIT_FD

export const POLL_BUSY = 0;
export const POLL_ADAPTIVE = 1;
export const POLL_INTERRUPT = 2;

export const LCORE_WAIT = 0;
export const LCORE_RUNNING = 1;
export const LCORE_FINISHED = 2;
