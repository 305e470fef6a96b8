// rte_mempool's policy as plain TypeScript: a cache for each lcore, refilled to its size when it runs dry and emptied when
// it would pass 1.5 times that, over one FIFO of free objects.
import { MEMPOOL_CACHE_SLOTS } from "../src/index.ts";

export class MempoolModel {
  readonly fifo: number[];
  readonly caches = new Map<number, number[]>();
  readonly #cacheSize: number;
  exhausted = 0;

  constructor(objs: number[], cacheSize: number) {
    this.fifo = [...objs];
    this.#cacheSize = cacheSize;
  }

  get avail(): number {
    return [...this.caches.values()].reduce((sum, cache) => sum + cache.length, this.fifo.length);
  }

  cache(lcore: number): number[] {
    const cache = this.caches.get(lcore) ?? [];
    this.caches.set(lcore, cache);
    return cache;
  }

  get(lcore: number, n: number): number[] {
    const cache = this.cache(lcore);
    const missing = n - cache.length;
    if (missing <= 0) return cache.splice(cache.length - n, n);
    const size = this.#cacheSize;
    if (size > 0 && n + size <= MEMPOOL_CACHE_SLOTS && missing + size <= this.fifo.length) {
      cache.push(...this.fifo.splice(0, missing + size));
      return cache.splice(size, n);
    }
    if (missing <= this.fifo.length) return [...cache.splice(0), ...this.fifo.splice(0, missing)];
    this.exhausted += n;
    return [];
  }

  getOne(lcore: number): number {
    const cache = this.cache(lcore);
    if (cache.length === 0 && this.fifo.length > this.#cacheSize)
      cache.push(...this.fifo.splice(0, this.#cacheSize + 1));
    const obj = cache.pop() ?? this.fifo.shift();
    if (obj === undefined) this.exhausted++;
    return obj ?? 0;
  }

  put(lcore: number, objs: readonly number[]): void {
    const cache = this.cache(lcore);
    const threshold = Math.floor(this.#cacheSize * 1.5);
    if (objs.length > threshold) {
      this.fifo.push(...objs);
      return;
    }
    if (cache.length + objs.length > threshold) this.fifo.push(...cache.splice(0));
    cache.push(...objs);
  }
}
