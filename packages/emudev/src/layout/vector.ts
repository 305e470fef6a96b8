// An interrupt vector of an emulated device as lcores and the main thread share it. VECTOR_ARMED and VECTOR_PENDING are the
// one place with two writers; every access to them is sequentially consistent. To raise: pending = 1; if
// exchange(armed, 0) was 1, then pending = 0 and write the eventfd. To re-arm: armed = 1, then if pending, the same.
// Compiled by both tsc and asc.
export const VECTOR_BYTES = 64;
export const VECTOR_ARMED = 0; // i32 atomic
export const VECTOR_PENDING = 4; // i32 atomic
export const VECTOR_FD = 8; // i32 eventfd to signal, -1 = none
export const VECTOR_ITR_US = 12; // u32 least gap between two interrupts in microseconds, 0 = none; written by the provider
export const VECTOR_LAST_US = 16; // f64 time of the last interrupt (data clock, microseconds); written by who fires
export const VECTOR_HELD = 24; // i32 atomic: 1 = pending, held back by ITR until its deadline
export const VECTOR_ITRN = 28; // u32 arena offset of a mapped ITR register (in 2 microsecond units) or 0 = use VECTOR_ITR_US
export const VECTOR_FIRED = 32; // u64 interrupts signalled by lcores
export const VECTOR_FIRED_MAIN = 40; // u64 interrupts signalled by the main thread
