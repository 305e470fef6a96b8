// Where ring tails go. When the server lends the two BAR0 pages that hold them (sparse areas of region 0), they are mapped into
// the arena and a burst writes the register itself; with ioeventfds (eventfd-doorbells.ts) a burst writes shadow memory and
// signals an eventfd. Else tails are words in a memzone, and a class here sends those that moved as posted writes whenever
// an lcore has signalled our own eventfd (layout/doorbell.ts). A page is mapped only from a file that is long enough and
// cannot be shortened, since a store beyond a file's end kills the process.
import { AVF_QUEUE_PAIRS_MAX, BAR0_PAGE_BYTES, BAR0_QRX_PAGE, BAR0_QTX_PAGE, type RegName } from "@emudev/avf";
import type { Logger } from "@emudev/eal";
import {
  addSeals,
  closeFd,
  eventfd,
  eventfdRead,
  fileStat,
  getSeals,
  PROT,
  SEAL,
  type Watcher,
  watch,
} from "@emudev/linux";
import type { Arena, Memzone } from "@emudev/shm";
import type { IoFd } from "@emudev/vfio-user";
import { KICK_BYTES, KICK_FD, KICK_IDLE, KICK_WORD } from "../layout/doorbell.ts";
import type { Bar0 } from "./bar0.ts";
import { reasonOf } from "./errors.ts";
import { EventfdDoorbells } from "./eventfd-doorbells.ts";
import type { Doorbell } from "./queue-memory.ts";

/** Region 0 as the client describes it. */
export interface Bar0Info {
  offset: number | bigint;
  areas: readonly { offset: number | bigint; size: number | bigint }[];
  fd: number;
}

export interface Doorbells {
  /** Whether a burst writes the device's registers itself. */
  readonly mapped: boolean;
  rx(queue: number): Doorbell;
  tx(queue: number): Doorbell;
  /** Resolves when every tail that moved has been sent; with `all` those that did not move, too. */
  flush(all?: boolean): Promise<void>;
  /** Gives memory and fds back. No lcore may use them any more. */
  close(): void;
}

/**
 * Mapped doorbells where the server allows it, else its ioeventfds, else forwarded ones.
 * @param askIoFds asks the server for ioeventfds of region 0; who makes use of them takes them over
 */
export async function openDoorbells(
  arena: Arena,
  bar0: Bar0,
  info: Bar0Info,
  askIoFds: () => Promise<IoFd[]>,
  name: string,
  log: Logger,
): Promise<Doorbells> {
  const why = unmappable(info);
  if (why === null) {
    const pages = mapPages(arena, info, log);
    if (pages !== null) return new MappedDoorbells(arena, pages.tx, pages.rx);
  }
  const ioFds = await askIoFds();
  const forwarded = new ForwardedDoorbells(arena, bar0, name, log);
  if (ioFds.length > 0) {
    const bells = EventfdDoorbells.open(arena, forwarded, ioFds, name, log);
    if (bells !== null) return bells;
  }
  if (why !== null) log.notice(`${name}: ring tails are sent as messages, which is slower: ${why}`);
  return forwarded;
}

/** Why the pages cannot be mapped, null when they can. */
function unmappable({ offset, areas, fd }: Bar0Info): string | null {
  if (fd < 0 || areas.length === 0) return "the server offers no doorbell pages";
  const covers = (page: number) =>
    areas.some((a) => Number(a.offset) <= page && Number(a.offset) + Number(a.size) >= page + BAR0_PAGE_BYTES);
  if (!covers(BAR0_QTX_PAGE) || !covers(BAR0_QRX_PAGE)) return "its areas do not cover both doorbell pages";
  return unsafe(fd, BigInt(offset) + BigInt(BAR0_QRX_PAGE + BAR0_PAGE_BYTES));
}

/** Why `bytes` bytes of a file of the server's must not be mapped, null when they may. Seals the file where it can. */
export function unsafe(fd: number, bytes: bigint): string | null {
  try {
    const seals = getSeals(fd); // -1 for a file that can carry none, which addSeals then refuses
    if (seals < 0 || (seals & SEAL.SHRINK) === 0) addSeals(fd, SEAL.SHRINK);
  } catch (error) {
    return `its file could be shortened (${reasonOf(error)})`;
  }
  // Asked only now, when the server cannot shorten it any more.
  return fileStat(fd).size < bytes ? "its file is too short" : null;
}

function mapPages(arena: Arena, { offset, fd }: Bar0Info, log: Logger): { tx: number; rx: number } | null {
  const map = (page: number) => arena.mapWindow(fd, Number(offset) + page, BAR0_PAGE_BYTES, PROT.READ | PROT.WRITE);
  let tx: number | null = null;
  try {
    tx = map(BAR0_QTX_PAGE);
    const rx = tx === null ? null : map(BAR0_QRX_PAGE);
    if (tx !== null && rx !== null) return { tx, rx };
    log.warning("no room in the arena for doorbell pages");
  } catch (error) {
    log.warning(`doorbell pages cannot be mapped: ${reasonOf(error)}`);
  }
  if (tx !== null) arena.unmapWindow(tx);
  return null;
}

class MappedDoorbells implements Doorbells {
  readonly mapped = true;
  readonly #arena: Arena;
  readonly #tx: number;
  readonly #rx: number;

  constructor(arena: Arena, tx: number, rx: number) {
    this.#arena = arena;
    this.#tx = tx;
    this.#rx = rx;
  }

  rx(queue: number): Doorbell {
    return { word: this.#rx + 4 * queue, kick: 0 };
  }
  tx(queue: number): Doorbell {
    return { word: this.#tx + 4 * queue, kick: 0 };
  }
  async flush(): Promise<void> {}

  close(): void {
    this.#arena.unmapWindow(this.#tx);
    this.#arena.unmapWindow(this.#rx);
  }
}

const WORDS = 2 * AVF_QUEUE_PAIRS_MAX; // receive queue q at 2 q, transmit queue q at 2 q + 1

class ForwardedDoorbells implements Doorbells {
  readonly mapped = false;
  readonly #arena: Arena;
  readonly #bar0: Bar0;
  readonly #log: Logger;
  readonly #zone: Memzone;
  readonly #fd: number;
  readonly #watcher: Watcher;
  readonly #sent = new Uint32Array(WORDS);
  /** Words that belong to a queue. */
  readonly #used = new Set<number>();

  constructor(arena: Arena, bar0: Bar0, name: string, log: Logger) {
    this.#arena = arena;
    this.#bar0 = bar0;
    this.#log = log;
    this.#zone = arena.memzoneReserve(`${name}_doorbells`, KICK_BYTES + 4 * WORDS);
    this.#fd = eventfd();
    arena.i32[(this.#zone.off + KICK_FD) >>> 2] = this.#fd;
    this.#watcher = watch(this.#fd, { readable: true }, () => {
      eventfdRead(this.#fd);
      this.flush().catch((error) => this.#log.debug(`ring tails could not be sent: ${reasonOf(error)}`));
    });
  }

  rx(queue: number): Doorbell {
    this.#used.add(2 * queue);
    return this.#bell(2 * queue);
  }
  tx(queue: number): Doorbell {
    this.#used.add(2 * queue + 1);
    return this.#bell(2 * queue + 1);
  }

  async flush(all = false): Promise<void> {
    // Idle first: a tail that moves after it is read below signals again.
    Atomics.store(this.#arena.i32, (this.#zone.off + KICK_WORD) >>> 2, KICK_IDLE);
    const writes: Promise<void>[] = [];
    for (let i = 0; i < WORDS; i++) {
      const tail = Atomics.load(this.#arena.u32, this.#bell(i).word >>> 2);
      if (tail === this.#sent[i] && !(all && this.#used.has(i))) continue;
      this.#sent[i] = tail;
      const register: RegName = i % 2 === 0 ? "QRX_TAIL1" : "QTX_TAIL1";
      writes.push(this.#bar0.post(register, tail, i >>> 1));
    }
    await Promise.all(writes);
  }

  close(): void {
    this.#watcher.close();
    closeFd(this.#fd);
    this.#arena.memzoneFree(this.#zone.name);
  }

  #bell(index: number): Doorbell {
    return { word: this.#zone.off + KICK_BYTES + 4 * index, kick: this.#zone.off };
  }
}
