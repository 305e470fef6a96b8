// The kernels of shm as JavaScript calls them: ring, mempool and mbuf operations over arena offsets, all arguments u32.
// Objects are passed as u32 objs[n] in the arena. Results come back signed: use `>>> 0`.
import { copy } from "./copy";
import * as mbuf from "./mbuf";
import * as mempool from "./mempool";
import * as ring from "./ring";

export { tso } from "./order";

/** Entries left (free after an enqueue, used after a dequeue) as the last ring call of this thread knew; there may be more. */
export let ring_left: u32 = 0;

// @ts-ignore: decorator
@inline
function keep(result: u64): u32 {
  ring_left = ring.left(result);
  return ring.moved(result);
}

export function ring_enqueue_burst(r: u32, objs: u32, n: u32): u32 {
  return keep(ring.enqueue(r, objs, n, false));
}

export function ring_enqueue_bulk(r: u32, objs: u32, n: u32): u32 {
  return keep(ring.enqueue(r, objs, n, true));
}

export function ring_dequeue_burst(r: u32, objs: u32, n: u32): u32 {
  return keep(ring.dequeue(r, objs, n, false));
}

export function ring_dequeue_bulk(r: u32, objs: u32, n: u32): u32 {
  return keep(ring.dequeue(r, objs, n, true));
}

export function ring_enqueue_one(r: u32, obj: u32): u32 {
  return ring.enqueueOne(r, obj);
}

export function ring_dequeue_one(r: u32): u32 {
  return ring.dequeueOne(r);
}

export function ring_count(r: u32): u32 {
  return ring.ringCount(r);
}

export function mempool_get_bulk(pool: u32, lcore: u32, objs: u32, n: u32): u32 {
  return mempool.getBulk(pool, lcore, objs, n);
}

export function mempool_put_bulk(pool: u32, lcore: u32, objs: u32, n: u32): void {
  mempool.putBulk(pool, lcore, objs, n);
}

export function pktmbuf_alloc_bulk(pool: u32, lcore: u32, objs: u32, n: u32): u32 {
  return mbuf.allocBulk(pool, lcore, objs, n);
}

export function pktmbuf_alloc(pool: u32, lcore: u32): u32 {
  const obj = mempool.getOne(pool, lcore);
  if (obj != 0) mbuf.reset(obj, pool);
  return obj;
}

export function pktmbuf_free_bulk(lcore: u32, objs: u32, n: u32): void {
  mbuf.freeBulk(lcore, objs, n);
}

export function pktmbuf_free(lcore: u32, m: u32): void {
  mbuf.free(lcore, m);
}

export function pktmbuf_refer_bulk(objs: u32, n: u32, more: u32): void {
  mbuf.referBulk(objs, n, more);
}

export function pktmbuf_read(m: u32, offset: u32, bytes: u32, to: u32): u32 {
  return mbuf.readPacket(m, offset, bytes, to);
}

export function copy_bytes(to: u32, from: u32, n: u32): void {
  copy(to, from, n);
}
