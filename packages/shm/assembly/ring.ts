// rte_ring's algorithm over arena offsets (layout/ring.ts), to be inlined into the kernels of every package. A producer
// reserves slots by moving its head, copies, and publishes by moving its tail; consumers mirror it. Indexes run freely over
// 32 bits. A single producer or consumer keeps the other side's tail as it last saw it, and looks again only when that does
// not suffice: a line that the other core writes is fetched once for many bursts. Tails are published as order.ts does it.
// The movers return a pair in a u64 (see `pair`); callers that drop a half pay nothing for it.
import {
  RING_CAPACITY,
  RING_CONS_HEAD,
  RING_CONS_SEEN,
  RING_CONS_TAIL,
  RING_F_SC_DEQ,
  RING_F_SP_ENQ,
  RING_FLAGS,
  RING_MASK,
  RING_OBJS,
  RING_PROD_HEAD,
  RING_PROD_SEEN,
  RING_PROD_TAIL,
  RING_SIZE,
} from "../src/layout/ring";
import { publish } from "./order";

// Loops before a waiting thread gives up its core: the thread it waits for may be preempted on this very core.
const SPINS_BEFORE_YIELD: u32 = 1000;
const YIELD_NS: i64 = 50000;

/** n moved in the low half, the entries left (free or used) in the high half. */
// @ts-ignore: decorator
@inline
export function pair(n: u32, left: u32): u64 {
  return ((<u64>left) << 32) | (<u64>n);
}

// @ts-ignore: decorator
@inline
export function moved(result: u64): u32 {
  return <u32>result;
}

// @ts-ignore: decorator
@inline
export function left(result: u64): u32 {
  return <u32>(result >> 32);
}

// @ts-ignore: decorator
@inline
export function copyWords(to: u32, from: u32, words: u32): void {
  let i: u32 = 0;
  const bytes = words << 2;
  for (; i + 64 <= bytes; i += 64) {
    const a = v128.load(from + i);
    const b = v128.load(from + i, 16);
    const c = v128.load(from + i, 32);
    const d = v128.load(from + i, 48);
    v128.store(to + i, a);
    v128.store(to + i, b, 16);
    v128.store(to + i, c, 32);
    v128.store(to + i, d, 48);
  }
  for (; i + 16 <= bytes; i += 16) v128.store(to + i, v128.load(from + i));
  for (; i < bytes; i += 4) store<u32>(to + i, load<u32>(from + i));
}

// @ts-ignore: decorator
@inline
function putSlots(ring: u32, head: u32, objs: u32, n: u32): void {
  const first = head & load<u32>(ring, RING_MASK);
  const room = load<u32>(ring, RING_SIZE) - first;
  const slots = ring + RING_OBJS;
  if (n <= room) {
    copyWords(slots + (first << 2), objs, n);
  } else {
    copyWords(slots + (first << 2), objs, room);
    copyWords(slots, objs + (room << 2), n - room);
  }
}

// @ts-ignore: decorator
@inline
function takeSlots(ring: u32, head: u32, objs: u32, n: u32): void {
  const first = head & load<u32>(ring, RING_MASK);
  const run = load<u32>(ring, RING_SIZE) - first;
  const slots = ring + RING_OBJS;
  if (n <= run) {
    copyWords(objs, slots + (first << 2), n);
  } else {
    copyWords(objs, slots + (first << 2), run);
    copyWords(objs + (run << 2), slots, n - run);
  }
}

// Waits until the threads that reserved before us have published: tails move in the order heads did.
function waitTail(tail: u32, mine: u32): void {
  let spins: u32 = 0;
  for (;;) {
    const now = atomic.load<u32>(tail);
    if (now == mine) return;
    if (++spins < SPINS_BEFORE_YIELD) continue;
    spins = 0;
    atomic.wait<i32>(tail, now, YIELD_NS);
  }
}

/** Single producer; `fixed` = all or nothing (bulk). Returns pair(enqueued, free entries after; there may be more). */
// @ts-ignore: decorator
@inline
export function enqueueSp(ring: u32, objs: u32, n: u32, fixed: bool): u64 {
  const head = load<u32>(ring, RING_PROD_HEAD);
  const limit = load<u32>(ring, RING_CAPACITY) - head;
  let free = limit + load<u32>(ring, RING_PROD_SEEN);
  if (n > free) {
    const seen = atomic.load<u32>(ring, RING_CONS_TAIL);
    store<u32>(ring, seen, RING_PROD_SEEN);
    free = limit + seen;
  }
  const count = n <= free ? n : fixed ? 0 : free;
  if (count == 0) return pair(0, free);
  store<u32>(ring, head + count, RING_PROD_HEAD);
  putSlots(ring, head, objs, count);
  publish(ring + RING_PROD_TAIL, head + count);
  return pair(count, free - count);
}

/** Many producers. */
// @ts-ignore: decorator
@inline
export function enqueueMp(ring: u32, objs: u32, n: u32, fixed: bool): u64 {
  const capacity = load<u32>(ring, RING_CAPACITY);
  let head: u32, free: u32, count: u32;
  do {
    head = atomic.load<u32>(ring, RING_PROD_HEAD);
    // A stale head may make this larger than the capacity; the exchange then fails.
    free = capacity + atomic.load<u32>(ring, RING_CONS_TAIL) - head;
    count = n <= free ? n : fixed ? 0 : free;
    if (count == 0) return pair(0, free);
  } while (atomic.cmpxchg<u32>(ring, head, head + count, RING_PROD_HEAD) != head);
  putSlots(ring, head, objs, count);
  if (atomic.load<u32>(ring, RING_PROD_TAIL) != head) waitTail(ring + RING_PROD_TAIL, head);
  publish(ring + RING_PROD_TAIL, head + count);
  return pair(count, free - count);
}

/** Single consumer. Returns pair(dequeued, entries left; there may be more). */
// @ts-ignore: decorator
@inline
export function dequeueSc(ring: u32, objs: u32, n: u32, fixed: bool): u64 {
  const head = load<u32>(ring, RING_CONS_HEAD);
  let used = load<u32>(ring, RING_CONS_SEEN) - head;
  if (n > used) {
    const seen = atomic.load<u32>(ring, RING_PROD_TAIL);
    store<u32>(ring, seen, RING_CONS_SEEN);
    used = seen - head;
  }
  const count = n <= used ? n : fixed ? 0 : used;
  if (count == 0) return pair(0, used);
  store<u32>(ring, head + count, RING_CONS_HEAD);
  takeSlots(ring, head, objs, count);
  publish(ring + RING_CONS_TAIL, head + count);
  return pair(count, used - count);
}

/** Many consumers. */
// @ts-ignore: decorator
@inline
export function dequeueMc(ring: u32, objs: u32, n: u32, fixed: bool): u64 {
  let head: u32, used: u32, count: u32;
  do {
    head = atomic.load<u32>(ring, RING_CONS_HEAD);
    used = atomic.load<u32>(ring, RING_PROD_TAIL) - head;
    count = n <= used ? n : fixed ? 0 : used;
    if (count == 0) return pair(0, used);
  } while (atomic.cmpxchg<u32>(ring, head, head + count, RING_CONS_HEAD) != head);
  takeSlots(ring, head, objs, count);
  if (atomic.load<u32>(ring, RING_CONS_TAIL) != head) waitTail(ring + RING_CONS_TAIL, head);
  publish(ring + RING_CONS_TAIL, head + count);
  return pair(count, used - count);
}

/** As the ring was created: SP or MP. */
// @ts-ignore: decorator
@inline
export function enqueue(ring: u32, objs: u32, n: u32, fixed: bool): u64 {
  if (load<u32>(ring, RING_FLAGS) & RING_F_SP_ENQ) return enqueueSp(ring, objs, n, fixed);
  return enqueueMp(ring, objs, n, fixed);
}

/** As the ring was created: SC or MC. */
// @ts-ignore: decorator
@inline
export function dequeue(ring: u32, objs: u32, n: u32, fixed: bool): u64 {
  if (load<u32>(ring, RING_FLAGS) & RING_F_SC_DEQ) return dequeueSc(ring, objs, n, fixed);
  return dequeueMc(ring, objs, n, fixed);
}

/** Entries in use, as seen now. */
// @ts-ignore: decorator
@inline
export function ringCount(ring: u32): u32 {
  const used = atomic.load<u32>(ring, RING_PROD_TAIL) - atomic.load<u32>(ring, RING_CONS_TAIL);
  const capacity = load<u32>(ring, RING_CAPACITY);
  return used < capacity ? used : capacity;
}

/** One object by value, as the ring was created: 1 or 0. */
export function enqueueOne(ring: u32, obj: u32): u32 {
  const capacity = load<u32>(ring, RING_CAPACITY);
  if (load<u32>(ring, RING_FLAGS) & RING_F_SP_ENQ) {
    const at = load<u32>(ring, RING_PROD_HEAD);
    if (capacity + load<u32>(ring, RING_PROD_SEEN) == at) {
      const seen = atomic.load<u32>(ring, RING_CONS_TAIL);
      if (capacity + seen == at) return 0;
      store<u32>(ring, seen, RING_PROD_SEEN);
    }
    store<u32>(ring, at + 1, RING_PROD_HEAD);
    store<u32>(ring + ((at & load<u32>(ring, RING_MASK)) << 2), obj, RING_OBJS);
    publish(ring + RING_PROD_TAIL, at + 1);
    return 1;
  }
  let head: u32;
  do {
    head = atomic.load<u32>(ring, RING_PROD_HEAD);
    if (capacity + atomic.load<u32>(ring, RING_CONS_TAIL) == head) return 0;
  } while (atomic.cmpxchg<u32>(ring, head, head + 1, RING_PROD_HEAD) != head);
  store<u32>(ring + ((head & load<u32>(ring, RING_MASK)) << 2), obj, RING_OBJS);
  if (atomic.load<u32>(ring, RING_PROD_TAIL) != head) waitTail(ring + RING_PROD_TAIL, head);
  publish(ring + RING_PROD_TAIL, head + 1);
  return 1;
}

/** One object by value: the object, or 0 when the ring is empty (0 is never the offset of anything). */
export function dequeueOne(ring: u32): u32 {
  if (load<u32>(ring, RING_FLAGS) & RING_F_SC_DEQ) {
    const at = load<u32>(ring, RING_CONS_HEAD);
    if (load<u32>(ring, RING_CONS_SEEN) == at) {
      const seen = atomic.load<u32>(ring, RING_PROD_TAIL);
      if (seen == at) return 0;
      store<u32>(ring, seen, RING_CONS_SEEN);
    }
    store<u32>(ring, at + 1, RING_CONS_HEAD);
    const obj = load<u32>(ring + ((at & load<u32>(ring, RING_MASK)) << 2), RING_OBJS);
    publish(ring + RING_CONS_TAIL, at + 1);
    return obj;
  }
  let head: u32;
  do {
    head = atomic.load<u32>(ring, RING_CONS_HEAD);
    if (atomic.load<u32>(ring, RING_PROD_TAIL) == head) return 0;
  } while (atomic.cmpxchg<u32>(ring, head, head + 1, RING_CONS_HEAD) != head);
  const obj = load<u32>(ring + ((head & load<u32>(ring, RING_MASK)) << 2), RING_OBJS);
  if (atomic.load<u32>(ring, RING_CONS_TAIL) != head) waitTail(ring + RING_CONS_TAIL, head);
  publish(ring + RING_CONS_TAIL, head + 1);
  return obj;
}
