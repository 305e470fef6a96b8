// Ring tails by ioeventfd (DEVICE_GET_REGION_IO_FDS): for each tail register the server names an eventfd and a word of
// shadow memory; a burst stores the tail there and signals the eventfd, so a doorbell is one write(2) by the lcore and no
// message. An eventfd alone carries no value, so an entry without shadow memory is of no use here, nor is one that waits
// for one value. Queues without an entry are forwarded. Made by doorbells.ts.
import { BAR0_PAGE_BYTES, REG } from "@emudev/avf";
import type { Logger } from "@emudev/eal";
import { PROT, signalEventfd } from "@emudev/linux";
import type { Arena, Memzone } from "@emudev/shm";
import { closeIoFds, type IoFd } from "@emudev/vfio-user";
import { KICK_BYTES, KICK_DIRECT, KICK_FD } from "../layout/doorbell.ts";
import { type Doorbells, unsafe } from "./doorbells.ts";
import { reasonOf } from "./errors.ts";
import type { Doorbell } from "./queue-memory.ts";

/** KVM_IOEVENTFD_FLAG_DATAMATCH */
const DATAMATCH = 1;

interface Bell extends Doorbell {
  fd: number;
}

export class EventfdDoorbells implements Doorbells {
  readonly mapped = false;
  readonly #arena: Arena;
  readonly #rest: Doorbells;
  readonly #ioFds: readonly IoFd[];
  readonly #windows: readonly number[];
  readonly #zone: Memzone;
  /** By offset of the register in region 0. */
  readonly #bells: ReadonlyMap<number, Bell>;
  /** Bells that belong to a queue. */
  readonly #used = new Set<Bell>();

  /**
   * Takes over `ioFds`.
   * @param rest for queues without an ioeventfd; closed with this
   * @returns null when no entry is of use
   */
  static open(arena: Arena, rest: Doorbells, ioFds: readonly IoFd[], name: string, log: Logger) {
    const windows = new Map<string, number>();
    const entries: { ioFd: IoFd; word: number }[] = [];
    for (const ioFd of ioFds) {
      const word = wordOf(arena, ioFd, windows, (why) => log.warning(`${name}: an ioeventfd is of no use: ${why}`));
      if (word !== null) entries.push({ ioFd, word });
    }
    if (entries.length > 0) return new EventfdDoorbells(arena, rest, ioFds, [...windows.values()], entries, name);
    for (const off of windows.values()) arena.unmapWindow(off);
    closeIoFds(ioFds);
    return null;
  }

  private constructor(
    arena: Arena,
    rest: Doorbells,
    ioFds: readonly IoFd[],
    windows: readonly number[],
    entries: readonly { ioFd: IoFd; word: number }[],
    name: string,
  ) {
    this.#arena = arena;
    this.#rest = rest;
    this.#ioFds = ioFds;
    this.#windows = windows;
    this.#zone = arena.memzoneReserve(`${name}_kicks`, KICK_BYTES * entries.length);
    const bells = entries.map(({ ioFd, word }, i): [number, Bell] => {
      const kick = this.#zone.off + KICK_BYTES * i;
      arena.i32[(kick + KICK_FD) >>> 2] = ioFd.fd;
      arena.u32[(kick + KICK_DIRECT) >>> 2] = 1;
      return [ioFd.offset, { word, kick, fd: ioFd.fd }];
    });
    this.#bells = new Map(bells);
  }

  rx(queue: number): Doorbell {
    return this.#bell(REG.QRX_TAIL1.offset + REG.QRX_TAIL1.stride * queue) ?? this.#rest.rx(queue);
  }
  tx(queue: number): Doorbell {
    return this.#bell(REG.QTX_TAIL1.offset + REG.QTX_TAIL1.stride * queue) ?? this.#rest.tx(queue);
  }

  /** The words hold the tails already; the device is told to look. */
  async flush(all = false): Promise<void> {
    if (all) for (const { fd } of this.#used) signalEventfd(fd);
    await this.#rest.flush(all);
  }

  close(): void {
    this.#rest.close();
    for (const off of this.#windows) this.#arena.unmapWindow(off);
    closeIoFds(this.#ioFds);
    this.#arena.memzoneFree(this.#zone.name);
  }

  #bell(offset: number): Bell | undefined {
    const bell = this.#bells.get(offset);
    if (bell !== undefined) this.#used.add(bell);
    return bell;
  }
}

/** Arena offset of an entry's shadow word, whose page is mapped once; null when the entry cannot be used. */
function wordOf(
  arena: Arena,
  { fd, size, type, flags = 0, shadow }: IoFd,
  windows: Map<string, number>,
  complain: (why: string) => void,
): number | null {
  if (type !== "shadow" || fd < 0 || size !== 4 || flags & DATAMATCH) return null;
  if (shadow === undefined || shadow.fd < 0 || shadow.offset % 4 !== 0) return null;
  const page = shadow.offset - (shadow.offset % BAR0_PAGE_BYTES);
  const key = `${shadow.fd}:${page}`;
  let off = windows.get(key) ?? null;
  if (off === null) {
    try {
      const why = unsafe(shadow.fd, BigInt(page + BAR0_PAGE_BYTES));
      off = why === null ? arena.mapWindow(shadow.fd, page, BAR0_PAGE_BYTES, PROT.READ | PROT.WRITE) : null;
      if (off === null) complain(why ?? "no room in the arena");
    } catch (error) {
      complain(reasonOf(error));
    }
    if (off === null) return null;
    windows.set(key, off);
  }
  return off + (shadow.offset - page);
}
