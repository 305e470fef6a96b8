// The arena as every thread sees it: views over one shared WebAssembly.Memory of 4 GiB. Its first `ownBytes` are one memfd
// of this process, the rest holds windows onto files of others (guest memory, doorbell pages). The main thread creates it
// (src/control/arena.ts) and hands `handle` to its workers, which attach. Places are named by their offset from the start;
// offset 0 is never handed out and means none.
import "./wasm.ts";

/** What a worker needs to attach; survives structured cloning. */
export interface ArenaHandle {
  memory: WebAssembly.Memory;
  /** Absolute address of offset 0, the same in every thread. */
  base: number;
  /** memfd of [0, ownBytes), sealed against shrinking and growing. */
  fd: number;
  ownBytes: number;
}

/** A named part of the arena. */
export interface Memzone {
  readonly name: string;
  readonly off: number;
  readonly bytes: number;
}

/** What rings, mempools and the like need to be created; only the main thread's arena has it. */
export interface MemzoneArena extends Arena {
  memzoneReserve(name: string, bytes: number, align?: number): Memzone;
  memzoneFree(name: string): void;
}

export const ARENA_BYTES = 2 ** 32;

export class Arena {
  readonly handle: ArenaHandle;
  readonly memory: WebAssembly.Memory;
  readonly base: number;
  readonly fd: number;
  readonly ownBytes: number;
  /** Views over all 4 GiB: element i lies at offset i * BYTES_PER_ELEMENT. */
  readonly u8: Uint8Array<SharedArrayBuffer>;
  readonly u16: Uint16Array<SharedArrayBuffer>;
  readonly i32: Int32Array<SharedArrayBuffer>;
  readonly u32: Uint32Array<SharedArrayBuffer>;
  readonly f64: Float64Array<SharedArrayBuffer>;
  readonly u64: BigUint64Array<SharedArrayBuffer>;

  protected constructor(handle: ArenaHandle) {
    this.handle = handle;
    this.memory = handle.memory;
    this.base = handle.base;
    this.fd = handle.fd;
    this.ownBytes = handle.ownBytes;
    const buffer = handle.memory.buffer;
    this.u8 = new Uint8Array(buffer);
    this.u16 = new Uint16Array(buffer);
    this.i32 = new Int32Array(buffer);
    this.u32 = new Uint32Array(buffer);
    this.f64 = new Float64Array(buffer);
    this.u64 = new BigUint64Array(buffer);
  }

  /** The arena of another thread of this process. */
  static attach(handle: ArenaHandle): Arena {
    return new Arena(handle);
  }

  /** The u64 counter at `off` (8-byte aligned) as a number, exact to 2^53. */
  counter(off: number): number {
    const at = off >>> 2;
    return this.u32[at + 1]! * 2 ** 32 + this.u32[at]!;
  }
}
