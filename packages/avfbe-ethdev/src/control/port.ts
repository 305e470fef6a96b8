// The ethdev port in front of one emulated AVF: the driver's operations, and the events of the device. Events and operations
// touch the same queues, so they run one after another (#serialize). The guest's link follows the port: link_up is set
// while it is started. Made by driver.ts.
import type { Eal, Logger } from "@emudev/eal";
import {
  attrName,
  EMU_DEV_EVENT_ATTR_CHANGE,
  EMU_DEV_EVENT_CLIENT_DOWN,
  EMU_DEV_EVENT_DEV_STOP,
  EMU_DEV_EVENT_QUEUE_DISABLE,
  EMU_DEV_EVENT_QUEUE_ENABLE,
  EMU_DEV_EVENT_RESET,
  type EmuDevEventChannel,
  ETH_STATS_BYTES,
  EventReceiver,
  emuGetAttr,
  emuGetDevInfo,
  emuGetMemTable,
  emuRegionMap,
  emuSetAttr,
  emuSubscribeEvent,
  emuUnsubscribeEvent,
  eventChannelCreate,
  eventChannelFree,
} from "@emudev/emudev";
import type { EthConf, EthDevInfo, EthDevOps, EthLink, EthStats } from "@emudev/ethdev";
import { MBUF_HEADROOM, type Mempool } from "@emudev/shm";
import { FRAME_MAX } from "../layout/guest-queue.ts";
import {
  RXQ_BYTES,
  RXQ_GUESTS,
  RXQ_MEM_WORD,
  RXQ_NEXT,
  RXQ_POOL,
  RXQ_PORT,
  RXQ_ROOM,
  TXQ_BYTES,
  TXQ_MEM_WORD,
} from "../layout/port-queue.ts";
import { CRC_TABLE_BYTES, CRC32_ETHERNET, CRC32C, writeCrcTable } from "./crc-tables.ts";
import { DoorbellWatch } from "./doorbell-watch.ts";
import { FILTER_ATTRS, FilterTable, filterAttrs } from "./filters.ts";
import { GuestQueues } from "./guest-queues.ts";
import { GuestStats } from "./guest-stats.ts";
import { Housekeeping } from "./housekeeping.ts";
import { RSS_ATTRS } from "./rss.ts";

const AGAIN_MS = 1;
const AGAIN_FOR_MS = 50;
const STATS_EVERY = 25; // looks while something moves between two updates of the guest's counters

export class AvfbePort implements EthDevOps {
  readonly #eal: Eal;
  readonly #log: Logger;
  readonly #name: string;
  readonly #devId: number;
  readonly #pairs: number;
  readonly #zones: string[] = [];
  readonly #rxqs: number[];
  readonly #txqs: number[];
  readonly #filter: FilterTable;
  readonly #stats: GuestStats;
  readonly #doorbells: DoorbellWatch;
  readonly #wake: () => void;
  readonly #channel: EmuDevEventChannel;
  readonly #receiver: EventReceiver;
  /** The guest's queues, for tests and housekeeping. */
  readonly queues: GuestQueues;
  #nbRx = 0;
  #nbTx = 0;
  #started = false;
  #closed = false;
  #subscribed = false;
  #linkUp = false;
  #last: Promise<unknown> = Promise.resolve();
  readonly #keeper = new Housekeeping((idle) => this.#housekeeping(idle));
  #turns = 0;
  #position = 0;
  #soon: NodeJS.Timeout | null = null;
  #soonUntil = 0;
  #ahead = false;
  /** Queues whose take-over waits its turn. */
  readonly #takingOver = new Set<number>();
  /** Called when the link that linkGet reports has changed. */
  onLinkChange: () => void = () => {};
  /** The port's number, known after its allocation. */
  portId = 0;

  /** @param rss false: packets are not spread over the guest's receive queues by its RSS settings */
  constructor(eal: Eal, name: string, devId: number, rss = true) {
    const { arena } = eal;
    this.#eal = eal;
    this.#log = eal.log.child("pmd.net.avfbe");
    this.#name = name;
    this.#devId = devId;
    this.#pairs = emuGetDevInfo(devId).maxQpNum;
    const memory = emuGetMemTable(devId);
    memory.readersAnnounced = true; // by data/queues.ts
    const synchronize = (): Promise<void> => eal.synchronize();
    const zone = (what: string, bytes: number): number => {
      const { off, name: zoneName } = arena.memzoneReserve(`${name}.${what}`, bytes);
      this.#zones.push(zoneName);
      return off;
    };
    const rxqs = zone("rxq", RXQ_BYTES * this.#pairs);
    const txqs = zone("txq", TXQ_BYTES * this.#pairs);
    this.#rxqs = Array.from({ length: this.#pairs }, (_, i) => rxqs + i * RXQ_BYTES);
    this.#txqs = Array.from({ length: this.#pairs }, (_, i) => txqs + i * TXQ_BYTES);
    for (const off of this.#rxqs) arena.u32[(off + RXQ_MEM_WORD) >>> 2] = memory.wordOff;
    for (const off of this.#txqs) arena.u32[(off + TXQ_MEM_WORD) >>> 2] = memory.wordOff;
    const crc32cOff = zone("crc32c", CRC_TABLE_BYTES);
    const crc32Off = zone("crc32", CRC_TABLE_BYTES);
    writeCrcTable(arena, crc32cOff, CRC32C);
    writeCrcTable(arena, crc32Off, CRC32_ETHERNET);
    this.#filter = new FilterTable(arena, name, synchronize);
    this.queues = new GuestQueues({
      arena,
      qsbr: eal.qsbr,
      name,
      devId,
      pairs: this.#pairs,
      rss,
      memWordOff: memory.wordOff,
      filterWordOff: this.#filter.wordOff,
      crc32cOff,
      crc32Off,
      synchronize,
      warn: this.#log.warning,
    });
    const offs = (queues: readonly { off: number }[]): number[] => queues.map((queue) => queue.off);
    this.#stats = new GuestStats(arena, name, offs(this.queues.rx), offs(this.queues.tx));
    this.#wake = () => {
      for (const { id, state } of eal.lcores.workers) if (state === "running") eal.lcores.wake(id);
    };
    this.#doorbells = new DoorbellWatch(eal.lcores);
    this.#channel = eventChannelCreate(arena, `${name}.events`);
    this.#receiver = new EventReceiver(this.#channel, (type, arg) => this.#onEvent(type, arg), devId);
  }

  /** Connects to the device: from now on its events are followed and it may read the counters. */
  async attach(): Promise<void> {
    this.#filter.publish(filterAttrs(this.#devId));
    await emuSubscribeEvent(this.#devId, this.#channel);
    this.#subscribed = true;
    emuRegionMap(this.#devId, "eth_stats", ETH_STATS_BYTES, this.#stats.off);
    await this.#serialize(async () => {
      for (let queue = 0; queue < 2 * this.#pairs; queue++) await this.queues.enable(queue); // of a guest that was first
      this.#follow();
    });
  }

  infosGet(): EthDevInfo {
    const descLim = { min: 1, max: 8160, align: 1 }; // the guest's driver decides; what is asked for here has no effect
    return {
      driverName: "net_avfbe",
      minRxBufsize: 256,
      maxRxPktlen: FRAME_MAX,
      maxRxQueues: this.#pairs,
      maxTxQueues: this.#pairs,
      rxOffloadCapa: ["SCATTER"],
      txOffloadCapa: ["MULTI_SEGS", "VLAN_INSERT"],
      rxDescLim: descLim,
      txDescLim: descLim,
      defaultRxRingSize: 512,
      defaultTxRingSize: 512,
      keepsNoMbufs: true, // packets are copied into the guest's memory, or stay the guest's until the next burst
      speedCapa: [],
      retaSize: 0,
      hashKeySize: 0,
      minMtu: 68,
      maxMtu: FRAME_MAX - 14 - 8,
      maxMacAddrs: 1,
    };
  }

  configure(nbRx: number, nbTx: number, _conf: EthConf): void {
    this.#nbRx = nbRx;
    this.#nbTx = nbTx;
  }

  rxQueueSetup(queue: number, _nbDesc: number, pool: Mempool): void {
    const { u32 } = this.#eal.arena;
    const off = this.#rxqs[queue]!;
    u32[(off + RXQ_POOL) >>> 2] = pool.off;
    u32[(off + RXQ_ROOM) >>> 2] = pool.dataRoom - MBUF_HEADROOM;
    u32[(off + RXQ_PORT) >>> 2] = this.portId;
    u32[(off + RXQ_GUESTS) >>> 2] = this.queues.txStatesOff;
    u32[(off + RXQ_NEXT) >>> 2] = 0;
  }

  txQueueSetup(): void {}

  async start(): Promise<void> {
    await this.#serialize(async () => {
      await this.queues.serve(this.#rxqs.slice(0, this.#nbRx), this.#txqs.slice(0, this.#nbTx));
      this.#started = true;
      this.#follow();
    });
    await emuSetAttr(this.#devId, "link_up", true); // in line with nothing: the device may have events to be answered first
  }

  async stop(): Promise<void> {
    await emuSetAttr(this.#devId, "link_up", false);
    await this.#serialize(async () => {
      this.#started = false;
      await this.queues.serve([], []);
      this.#follow();
    });
  }

  /** Leaves the device and frees all. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#started) await this.stop();
    await this.#receiver.close();
    if (this.#subscribed) {
      await emuUnsubscribeEvent(this.#devId, this.#channel);
      emuGetMemTable(this.#devId).readersAnnounced = false;
      emuRegionMap(this.#devId, "eth_stats", ETH_STATS_BYTES, null);
    }
    await this.#serialize(() => this.queues.disableAll());
    this.#follow();
    eventChannelFree(this.#channel);
    await this.#filter.free();
    this.#stats.free();
    this.queues.free();
    for (const zone of this.#zones) this.#eal.arena.memzoneFree(zone);
  }

  linkGet(): EthLink {
    const speedMbps = this.#linkUp ? emuGetAttr(this.#devId, "link_speed") : 0;
    return { up: this.#linkUp, speedMbps, fullDuplex: true, autoneg: false };
  }

  rxQueueOff(queue: number): number {
    return this.#rxqs[queue]!;
  }

  txQueueOff(queue: number): number {
    return this.#txqs[queue]!;
  }

  statsExtra(): Partial<EthStats> {
    return { ierrors: this.#stats.malformed() };
  }

  xstats(): [string, number][] {
    const { mapped, evicted, misses, prefetched, thrashed } = emuGetMemTable(this.#devId).demand;
    return [
      ...this.#stats.xstats(),
      ["mem_windows_mapped", mapped],
      ["mem_windows_evicted", evicted],
      ["mem_windows_prefetched", prefetched],
      ["mem_windows_thrashed", thrashed],
      ["mem_window_misses", misses],
    ];
  }

  // The port takes whatever its guest sends, and has no filters of its own.
  promiscuousSet(): void {}
  allmulticastSet(): void {}
  mtuSet(): void {}
  macAddrSet(): void {}

  async #onEvent(type: number, arg: number): Promise<void> {
    // Mostly not in line with the rest: it touches no queue, and a device may announce what start() and stop() set themselves.
    if (type === EMU_DEV_EVENT_ATTR_CHANGE) await this.#onAttribute(attrName(arg));
    else await this.#onQueueEvent(type, arg);
  }

  async #onAttribute(name: string | undefined): Promise<void> {
    if ((FILTER_ATTRS as readonly (string | undefined)[]).includes(name))
      this.#filter.publish(filterAttrs(this.#devId));
    if (name === "link_speed" && this.#linkUp) this.onLinkChange();
    if ((RSS_ATTRS as readonly (string | undefined)[]).includes(name))
      await this.#serialize(async () => this.queues.publish()); // in line: it says which queues are fed
  }

  #onQueueEvent(type: number, arg: number): Promise<void> {
    return this.#serialize(async () => {
      switch (type) {
        case EMU_DEV_EVENT_QUEUE_ENABLE:
          await this.queues.enable(arg);
          break;
        case EMU_DEV_EVENT_QUEUE_DISABLE:
          await this.queues.disable(arg);
          break;
        case EMU_DEV_EVENT_RESET:
          await this.queues.disableAll();
          this.#stats.rebase();
          break;
        case EMU_DEV_EVENT_CLIENT_DOWN:
        case EMU_DEV_EVENT_DEV_STOP:
          await this.queues.disableAll();
          break;
      }
      this.#follow();
    });
  }

  /** What hangs on the queues' state: link and housekeeping. */
  #follow(): void {
    const up = this.#started && this.queues.running;
    if (up !== this.#linkUp) {
      this.#linkUp = up;
      this.#log.info(`${this.#name}: link ${up ? "up" : "down"}`);
      this.onLinkChange();
    }
    this.#wake(); // lcores that wait for events look at what there is now
    this.#doorbells.follow(this.#started ? this.queues.doorbellFds() : new Set());
    if (this.queues.active && !this.#closed) {
      this.#keeper.start();
    } else if (this.#keeper.running) {
      this.#keeper.stop();
      this.#stats.update();
    }
  }

  /** @returns whether to look again soon */
  #housekeeping(idle: boolean): boolean {
    if (this.#turns++ % STATS_EVERY === 0 || idle) this.#stats.update();
    const wanted = this.#lookAtMemory();
    const before = this.#position;
    this.#position = this.queues.position();
    return wanted || this.#position !== before || emuGetMemTable(this.#devId).hasDemand;
  }

  /** @returns whether a queue waits for memory */
  #lookAtMemory(): boolean {
    this.#lookAhead();
    const wanting = this.queues.wanting();
    for (const queue of wanting) {
      if (this.#takingOver.has(queue)) continue;
      this.#takingOver.add(queue);
      void this.#serialize(() => this.queues.reach(queue))
        .then((soon) => soon && this.#lookAgain())
        .catch((error: unknown) => this.#log.error(`${this.#name}: guest queue ${queue}: ${error}`))
        .finally(() => this.#takingOver.delete(queue));
    }
    return wanting.length > 0;
  }

  /** Windows for what the guest has posted to receive, before packets come. */
  #lookAhead(): void {
    if (this.#ahead || !emuGetMemTable(this.#devId).hasDemand) return;
    this.#ahead = true;
    void this.#serialize(() => this.queues.prefetch())
      .catch((error: unknown) => this.#log.error(`${this.#name}: windows ahead: ${error}`))
      .finally(() => {
        this.#ahead = false;
      });
  }

  /** A queue that has got windows goes on at once, and may want the next: the queues are looked at more often for a while. */
  #lookAgain(): void {
    this.#wake();
    this.#soonUntil = performance.now() + AGAIN_FOR_MS;
    this.#lookSoon();
  }

  #lookSoon(): void {
    this.#soon ??= setTimeout(() => {
      this.#soon = null;
      if (!this.#keeper.running) return;
      this.#lookAtMemory();
      if (performance.now() < this.#soonUntil) this.#lookSoon();
    }, AGAIN_MS);
  }

  #serialize<T>(job: () => Promise<T>): Promise<T> {
    const result = this.#last.then(job);
    this.#last = result.catch(() => {});
    return result;
  }
}
