// A miniature NVMe driver for the tests, written from the specification alone: it enables a controller behind a vfio-user
// socket, keeps queues in memory that it lends, submits commands and takes
// completions by their phase bit. Numbers here are the specification's, not the device's.
import { ftruncateSync, mkdirSync, openSync, rmSync } from "node:fs";
import { closeFd, eventfd, eventfdRead, type Mapping, mapAnywhere, memfdCreate, PROT } from "@emudev/linux";
import { PCI_IRQ, PCI_REGION, VfioUserClient } from "@emudev/vfio-user";
import { type NvmeDevice, type NvmeOptions, nvmeDevice } from "../../src/nvme/device.ts";
import { MemoryStore } from "../../src/nvme/store.ts";

const folder = `/tmp/emudev-nvme-${process.pid}`;
let sockets = 0;

export function newPath(): string {
  mkdirSync(folder, { recursive: true });
  return `${folder}/${sockets++}.sock`;
}

/** Where the driver's memory begins in the device's eyes, and its size. */
export const IOVA = 0x1_0000_0000;
export const MEMORY = 16 << 20;

export const PAGE = 4096;

/** How the device reaches the driver's memory: a memfd can be mapped safely, a file is read and written. */
export type Memory = "memfd" | "file" | "messages";
export const MEMORIES: readonly { memory: Memory }[] = [
  { memory: "memfd" },
  { memory: "file" },
  { memory: "messages" },
];

/** A file that nobody can seal. */
function fileOf(bytes: number): number {
  const path = newPath();
  const fd = openSync(path, "w+");
  ftruncateSync(fd, bytes);
  rmSync(path);
  return fd;
}

export interface Completion {
  result: number;
  sqHead: number;
  sqId: number;
  id: number;
  /** Type and code; the Do Not Retry bit is apart. */
  status: number;
  dnr: boolean;
}

export interface Words {
  opcode: number;
  flags?: number;
  nsid?: number;
  prp1?: number;
  prp2?: number;
  w10?: number;
  w11?: number;
  w12?: number;
  w13?: number;
}

interface Queue {
  sq: number;
  cq: number;
  entries: number;
  tail: number;
  head: number;
  phase: number;
}

export class Driver {
  readonly client: VfioUserClient;
  readonly bytes: Uint8Array;
  /** Allocations start at a multiple of this. */
  align = PAGE;
  readonly view: DataView;
  readonly #fd: number;
  readonly #mapping: Mapping;
  readonly #queues = new Map<number, Queue>();
  readonly #vectors: number[] = [];
  #free = 0;
  #nextId = 0;

  private constructor(client: VfioUserClient, fd: number, mapping: Mapping) {
    this.client = client;
    this.#fd = fd;
    this.#mapping = mapping;
    this.bytes = new Uint8Array(mapping.buffer, 0, MEMORY);
    this.view = new DataView(mapping.buffer, 0, MEMORY);
  }

  /** Connects, lends the memory, lets the function be a bus master. */
  static async connect(path: string, memory: Memory = "memfd"): Promise<Driver> {
    const fd = memory === "file" ? fileOf(MEMORY) : memfdCreate("driver", MEMORY);
    const mapping = mapAnywhere(MEMORY, PROT.READ | PROT.WRITE, fd, 0);
    const bytes = new Uint8Array(mapping.buffer, 0, MEMORY);
    const client = await VfioUserClient.connect(path, {
      waitMs: 5000,
      onDmaRead: (iova, count) => bytes.slice(Number(iova) - IOVA, Number(iova) - IOVA + count),
      onDmaWrite: (iova, data) => bytes.set(data, Number(iova) - IOVA),
    });
    const region = { iova: BigInt(IOVA), size: BigInt(MEMORY), prot: 3 };
    await client.dmaMap(memory === "messages" ? region : { ...region, fd });
    await client.regionWrite(PCI_REGION.CONFIG, 4, Uint8Array.of(6, 0));
    return new Driver(client, fd, mapping);
  }

  close(): void {
    this.client.close();
    for (const fd of this.#vectors) closeFd(fd);
    this.#mapping.unmap();
    closeFd(this.#fd);
  }

  async read32(offset: number): Promise<number> {
    const bytes = await this.client.regionRead(0, offset, 4);
    return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
  }

  write32(offset: number, value: number): Promise<void> {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value, true);
    return this.client.regionWrite(0, offset, bytes);
  }

  /** Memory from the start of a page, zeroed; its address for the device. */
  alloc(bytes: number): number {
    const at = this.#free;
    this.#free += Math.ceil(bytes / this.align) * this.align;
    if (this.#free > MEMORY) throw new Error("the driver's memory is used up");
    this.bytes.fill(0, at, this.#free);
    return IOVA + at;
  }

  /** The driver's own view of memory that the device knows by `address`. */
  at(address: number, bytes: number): Uint8Array {
    return this.bytes.subarray(address - IOVA, address - IOVA + bytes);
  }

  viewAt(address: number, bytes: number): DataView {
    return new DataView(this.bytes.buffer, this.bytes.byteOffset + address - IOVA, bytes);
  }

  /** One eventfd for each of the first `count` vectors. */
  async interrupts(count: number): Promise<void> {
    for (let i = 0; i < count; i++) this.#vectors.push(eventfd());
    await this.client.setIrqs(PCI_IRQ.MSIX, 0, this.#vectors);
  }

  /** Interrupts since the last look. */
  interrupted(vector: number): number {
    return eventfdRead(this.#vectors[vector] as number);
  }

  async waitStatus(mask: number, wanted: number): Promise<void> {
    await until(async () => ((await this.read32(0x1c)) & mask) === wanted, `CSTS & ${mask} = ${wanted}`);
  }

  /** Sets up the admin queues and enables the controller; resolves when it is ready. */
  async enable(entries = 16, cc = 0x0046_0001): Promise<void> {
    await this.configure(entries, cc);
    await this.waitStatus(1, 1);
  }

  async configure(entries = 16, cc = 0x0046_0001): Promise<void> {
    this.#free = 0;
    this.#queues.clear();
    const queue = this.#queue(0, entries, this.alloc(entries * 64), this.alloc(entries * 16));
    await this.write32(0x24, (entries - 1) | ((entries - 1) << 16));
    for (const [register, address] of [
      [0x28, queue.sq],
      [0x30, queue.cq],
    ] as const) {
      await this.write32(register, address % 2 ** 32);
      await this.write32(register + 4, Math.floor(address / 2 ** 32));
    }
    await this.write32(0x14, cc);
  }

  async disable(): Promise<void> {
    await this.write32(0x14, 0x0046_0000);
    await this.waitStatus(1, 0);
  }

  #queue(id: number, entries: number, sq: number, cq: number): Queue {
    const queue = { sq, cq, entries, tail: 0, head: 0, phase: 1 };
    this.#queues.set(id, queue);
    return queue;
  }

  /** Makes an I/O queue pair of one number; vector -1 is none. */
  async makeQueues(id: number, entries = 64, vector = id): Promise<void> {
    const queue = this.#queue(id, entries, this.alloc(entries * 64), this.alloc(entries * 16));
    const size = ((entries - 1) << 16) | id;
    const irq = vector < 0 ? 0 : (vector << 16) | 2;
    await this.good(0, { opcode: 0x05, prp1: queue.cq, w10: size, w11: irq | 1 });
    await this.good(0, { opcode: 0x01, prp1: queue.sq, w10: size, w11: (id << 16) | 1 });
  }

  /** Puts a command into a queue without ringing; returns its id. */
  put(queueId: number, words: Words): number {
    const queue = this.#queues.get(queueId) as Queue;
    const id = this.#nextId++ & 0xffff;
    const view = this.viewAt(queue.sq + 64 * queue.tail, 64);
    for (let i = 0; i < 64; i += 4) view.setUint32(i, 0, true);
    view.setUint8(0, words.opcode);
    view.setUint8(1, words.flags ?? 0);
    view.setUint16(2, id, true);
    view.setUint32(4, words.nsid ?? 0, true);
    for (const [offset, address] of [
      [24, words.prp1 ?? 0],
      [32, words.prp2 ?? 0],
    ] as const) {
      view.setBigUint64(offset, BigInt(address), true);
    }
    [words.w10, words.w11, words.w12, words.w13].forEach((word, i) => {
      view.setUint32(40 + 4 * i, (word ?? 0) >>> 0, true);
    });
    queue.tail = (queue.tail + 1) % queue.entries;
    return id;
  }

  ring(queueId: number): Promise<void> {
    return this.write32(0x1000 + 8 * queueId, (this.#queues.get(queueId) as Queue).tail);
  }

  /** The next completion of a queue, or null; the doorbell is not rung for it. */
  take(queueId: number): Completion | null {
    const queue = this.#queues.get(queueId) as Queue;
    const view = this.viewAt(queue.cq + 16 * queue.head, 16);
    const status = view.getUint16(14, true);
    if ((status & 1) !== queue.phase) return null;
    queue.head++;
    if (queue.head === queue.entries) {
      queue.head = 0;
      queue.phase ^= 1;
    }
    return {
      result: view.getUint32(0, true),
      sqHead: view.getUint16(8, true),
      sqId: view.getUint16(10, true),
      id: view.getUint16(12, true),
      status: (status >>> 1) & 0x7ff,
      dnr: status >= 0x8000,
    };
  }

  /** Tells the device which completions were taken. */
  release(queueId: number): Promise<void> {
    return this.write32(0x1004 + 8 * queueId, (this.#queues.get(queueId) as Queue).head);
  }

  async completion(queueId: number): Promise<Completion> {
    let taken: Completion | null = null;
    await until(() => {
      taken = this.take(queueId);
      return taken !== null;
    }, `a completion of queue ${queueId}`);
    await this.release(queueId);
    return taken as unknown as Completion;
  }

  /** Submits one command and waits for its completion. */
  async run(queueId: number, words: Words): Promise<Completion> {
    const id = this.put(queueId, words);
    await this.ring(queueId);
    const completion = await this.completion(queueId);
    if (completion.id !== id) throw new Error(`completion of command ${completion.id} instead of ${id}`);
    return completion;
  }

  /** As `run`; anything but success throws. Returns double word 0. */
  async good(queueId: number, words: Words): Promise<number> {
    const { status, result } = await this.run(queueId, words);
    if (status !== 0) throw new Error(`command 0x${words.opcode.toString(16)} ended with 0x${status.toString(16)}`);
    return result;
  }

  /** Two PRP entries for a transfer of `bytes` bytes at `address`, whose pages lie one after the other. */
  prps(address: number, bytes: number): { prp1: number; prp2: number } {
    const first = PAGE - (address % PAGE);
    if (bytes <= first) return { prp1: address, prp2: 0 };
    const pages = Array.from({ length: Math.ceil((bytes - first) / PAGE) }, (_, i) => address + first + i * PAGE);
    return pages.length === 1 ? { prp1: address, prp2: pages[0] as number } : { prp1: address, prp2: this.list(pages) };
  }

  /** A PRP list in memory of its own. */
  list(pages: readonly number[], offset = 0): number {
    const address = this.alloc(offset + 8 * pages.length) + offset;
    const view = this.viewAt(address, 8 * pages.length);
    pages.forEach((page, i) => {
      view.setBigUint64(8 * i, BigInt(page), true);
    });
    return address;
  }

  readBlocks(queueId: number, first: number, count: number, address: number, bytes = 512): Promise<Completion> {
    const prps = this.prps(address, count * bytes);
    return this.run(queueId, { opcode: 0x02, nsid: 1, ...prps, w10: first, w12: count - 1 });
  }

  writeBlocks(queueId: number, first: number, count: number, address: number, bytes = 512): Promise<Completion> {
    const prps = this.prps(address, count * bytes);
    return this.run(queueId, { opcode: 0x01, nsid: 1, ...prps, w10: first, w12: count - 1 });
  }
}

/** Runs `body` with a device and a driver that is connected to it, and takes both down. */
export async function withDisk(
  options: Partial<NvmeOptions> & { memory?: Memory },
  body: (driver: Driver, device: NvmeDevice) => Promise<void>,
): Promise<void> {
  const { memory, ...rest } = options;
  const store = options.store ?? new MemoryStore(8 << 20);
  const device = nvmeDevice({ ...rest, store });
  const path = newPath();
  await device.listen(path);
  const driver = await Driver.connect(path, memory);
  try {
    await body(driver, device);
  } finally {
    driver.close();
    await device.close();
    store.close();
  }
}

export async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const end = performance.now() + 10_000;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`${what} never came`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Lets everything that is ready to run do so. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** Bytes that tell where they belong. */
export function pattern(bytes: number, seed: number): Uint8Array {
  const data = new Uint8Array(bytes);
  for (let i = 0; i < bytes; i++) data[i] = (i * 31 + (i >>> 8) * 17 + seed) & 0xff;
  return data;
}
