// A guard against files that are truncated under a mapping. Touching a page that its file has lost is SIGBUS, from
// JavaScript and WebAssembly alike, and ends the process; a client can do that to a server at any time unless its file is
// sealed (F_SEAL_SHRINK) or guarded. A guarded range turns into zero memory as a whole at the first such touch, the touch is
// repeated, and the hit is counted for whoever looks. Off unless installed: shm's arena guards its windows when eal is
// told to (`--sigbus-guard`). The handler itself is in guard-code.ts.
import { arch } from "node:os";
import { ERRNO, LinuxError } from "./errors.ts";
import { closeFd, pwrite } from "./files.ts";
import { ARM64, X86_64 } from "./guard-code.ts";
import { check, mmap64, sigaction, viewOf } from "./libc.ts";
import { memfdCreate, PROT } from "./memory.ts";

const SIGBUS = 7;
const SA_SIGINFO = 4;
const SA_ONSTACK = 0x0800_0000;
const SA_RESTART = 0x1000_0000;
const PROT_EXEC = 4;
const MAP_PRIVATE = 0x02;
const MAP_FIXED = 0x10;
const MAP_ANONYMOUS = 0x20;
const MAP_NORESERVE = 0x4000;

/** Bytes of the code's mapping, a multiple of every page size; the table follows. */
const CODE_BYTES = 65536;
/** Ranges at once: more than the kernel allows mappings. */
const ENTRIES = 65536;
// The table, in 64-bit words: the previous handler, entries in use, 2 spare; then 4 an entry.
const PREVIOUS = 0;
const COUNT = 1;
const FIRST = 4;
const ENTRY_WORDS = 4;
const BASE = 0;
const END = 1;
const HITS = 2;
const TABLE_BYTES = 8 * (FIRST + ENTRIES * ENTRY_WORDS);
/** struct sigaction of libc, 64-bit: handler 0, mask of 1,024 bits 8, flags 136, restorer 144. */
const SIGACTION_BYTES = 152;
const SIGACTION_FLAGS = 136;

/** A range that survives the truncation of its file. */
export interface GuardedRange {
  /** Touches of lost pages, by all threads; from the first on the range is zero memory. */
  hits(): number;
  /** Ends it: before the range is unmapped, and when no thread touches it any longer. */
  remove(): void;
}

export class SigbusGuard {
  readonly #table: BigUint64Array;
  readonly #free: number[] = [];
  #used = 0;

  /** Use `sigbusGuard()`. */
  constructor() {
    const code = { x64: X86_64, arm64: ARM64 }[arch() as string];
    if (code === undefined) {
      throw new LinuxError(ERRNO.ENOSYS, "sigaction", "SIGBUS", `the guard is not there for ${arch()}`);
    }
    const at = mapCode(Uint8Array.from(code.join(" ").split(" "), (byte) => Number.parseInt(byte, 16)));
    this.#table = new BigUint64Array(viewOf(at + CODE_BYTES, TABLE_BYTES));
    this.#table[PREVIOUS] = install(at);
  }

  /**
   * Guards a range of whole pages that files are mapped into.
   * @returns null when too many are guarded
   */
  add(address: number, bytes: number): GuardedRange | null {
    const table = this.#table;
    const entry = this.#free.pop() ?? this.#used;
    if (entry === ENTRIES) return null;
    const at = FIRST + entry * ENTRY_WORDS;
    Atomics.store(table, at + HITS, 0n);
    // The end last, as it goes first: an entry in use again would else cover all below it for a moment, for any thread's fault.
    Atomics.store(table, at + BASE, BigInt(address));
    Atomics.store(table, at + END, BigInt(address + bytes));
    this.#used = Math.max(this.#used, entry + 1);
    Atomics.store(table, COUNT, BigInt(this.#used));
    let removed = false;
    return {
      hits: () => Number(Atomics.load(table, at + HITS)),
      remove: () => {
        if (removed) return;
        removed = true;
        Atomics.store(table, at + END, 0n);
        Atomics.store(table, at + BASE, 0n);
        this.#free.push(entry);
      },
    };
  }
}

let installed: SigbusGuard | undefined;

/**
 * The process's guard, installed by the first call and never removed. For the main thread.
 * @throws LinuxError ENOSYS on a processor without code, or what the kernel says against executable memory
 */
export function sigbusGuard(): SigbusGuard {
  installed ??= new SigbusGuard();
  return installed;
}

/** Code, executable and never writable, and the table behind it. */
function mapCode(code: Uint8Array): number {
  const anonymous = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  const at = mmap64(0, CODE_BYTES + TABLE_BYTES, PROT.READ | PROT.WRITE, anonymous, -1, 0);
  check(at === -1 ? -1 : 0, "mmap", "the table of the SIGBUS guard");
  const fd = memfdCreate("sigbus-guard", CODE_BYTES);
  pwrite(fd, code, 0);
  const mapped = mmap64(at, CODE_BYTES, PROT.READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd, 0);
  check(mapped === -1 ? -1 : 0, "mmap", "the code of the SIGBUS guard, executable");
  closeFd(fd);
  return at;
}

/** @returns the handler that was there before: an address, 0 SIG_DFL, 1 SIG_IGN */
function install(handler: number): bigint {
  const action = new DataView(new ArrayBuffer(SIGACTION_BYTES));
  action.setBigUint64(0, BigInt(handler), true);
  action.setUint32(SIGACTION_FLAGS, SA_SIGINFO | SA_ONSTACK | SA_RESTART, true);
  const previous = new DataView(new ArrayBuffer(SIGACTION_BYTES));
  check(sigaction(SIGBUS, new Uint8Array(action.buffer), new Uint8Array(previous.buffer)), "sigaction", "SIGBUS");
  return previous.getBigUint64(0, true);
}
