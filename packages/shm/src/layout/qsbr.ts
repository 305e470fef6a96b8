// An RCU variable in the arena, after rte_rcu_qsbr: writers take a token, every online reader reports the newest token it
// has passed a quiescent state at. 0 in a reader's counter means offline. Tokens are 32 bits and compared by difference.
// Compiled by both tsc and asc.
export const QSBR_TOKEN = 0; // u32 atomic, starts at 1 and never is 0
export const QSBR_THREADS = 64; // QSBR_THREAD_BYTES for each of LCORE_MAX threads
export const QSBR_THREAD_BYTES = 64;
export const QSBR_THREAD_CNT = 0; // u32 atomic: token seen, 0 = offline
export const QSBR_THREAD_REGISTERED = 4; // u32: 1 = registered
