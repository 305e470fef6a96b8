// How ring tails reach the device. Where the server lends its doorbell pages they are mapped in the arena and the tail word
// is the register itself. Where it has ioeventfds, the tail word is the shadow memory behind the register, each queue has a
// kick word of its own, and a burst that moved the tail signals the device's eventfd. Else the tail word lies in this
// memory, and a burst that moved it marks the device's one kick word: the lcore then signals an eventfd once, and the main
// thread sends the tails as posted REGION_WRITEs. Compiled by both.
export const KICK_WORD = 0; // u32 atomic: KICK_IDLE, KICK_DIRTY, KICK_SIGNALLED
export const KICK_FD = 4; // i32 eventfd, -1 = none
export const KICK_DIRECT = 8; // u32 1 = the eventfd is the device's, and wants a signal for each burst
export const KICK_BYTES = 64;
export const KICK_IDLE = 0;
export const KICK_DIRTY = 1; // a tail moved and nobody was told
export const KICK_SIGNALLED = 2; // the eventfd was signalled, the main thread has not looked yet

export const IOVA_HIGH = 1; // high word of every address given to the device: iova = 4 GiB + arena offset
