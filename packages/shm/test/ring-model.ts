// rte_ring's contract as plain TypeScript: a FIFO with a capacity, burst and bulk, and the count of entries left.

export class RingModel {
  readonly capacity: number;
  readonly #fifo: number[] = [];

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  get count(): number {
    return this.#fifo.length;
  }

  get free(): number {
    return this.capacity - this.#fifo.length;
  }

  enqueue(objs: readonly number[], bulk: boolean): number {
    const n = objs.length <= this.free ? objs.length : bulk ? 0 : this.free;
    this.#fifo.push(...objs.slice(0, n));
    return n;
  }

  dequeue(n: number, bulk: boolean): number[] {
    if (n > this.count && bulk) return [];
    return this.#fifo.splice(0, n);
  }
}
