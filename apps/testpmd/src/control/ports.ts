// The application's ports: the mempool they share, their configuration from the application's settings, start, stop, close,
// and the events that are told to the user. Called by the console's commands, by main.ts and by forwarding.ts.
import type { Eal } from "@emudev/eal";
import { type EthDev, type EthStats, ethDev, ethDevs, onEthDev } from "@emudev/ethdev";
import { Mempool, ShmError } from "@emudev/shm";
import { PmdError } from "../errors.ts";
import { BURST_MAX, SEGS_MAX } from "../layout/stream.ts";
import { formatMac } from "../views/format.ts";
import type { Config } from "./config.ts";

/** What the application knows of a port beyond the port itself. */
export interface PortRecord {
  /** Its configuration is not, or no longer, that of the settings. */
  dirty: boolean;
  /** Statistics when forwarding began. */
  base: EthStats;
  /** What `show port stats` showed last, and when (ms). */
  shown: { stats: EthStats; at: number } | undefined;
}

const NO_STATS: EthStats = {
  ipackets: 0,
  opackets: 0,
  ibytes: 0,
  obytes: 0,
  imissed: 0,
  ierrors: 0,
  oerrors: 0,
  rx_nombuf: 0,
};
const DESCRIPTORS_GUESS = 1024; // of a queue whose driver decides, when the mempool is sized
const MBUFS_MIN = 8192;

export class Ports {
  readonly #eal: Eal;
  readonly #config: Config;
  readonly #out: (text: string) => void;
  readonly #records = new Map<EthDev, PortRecord>();
  #pool: Mempool | undefined;
  #txPool: Mempool | undefined;
  #quiet = false;

  constructor(eal: Eal, config: Config, out: (text: string) => void) {
    this.#eal = eal;
    this.#config = config;
    this.#out = out;
    for (const dev of ethDevs()) this.#adopt(dev);
    onEthDev((dev, event) => {
      if (event === "new") this.#adopt(dev);
      else this.#records.delete(dev);
    });
  }

  all(): EthDev[] {
    return ethDevs();
  }

  /**
   * The ports that a command names.
   * @throws PmdError PORT when there is none of that id
   */
  named(which: number | "all"): EthDev[] {
    return which === "all" ? this.all() : [this.get(which)];
  }

  get(portId: number): EthDev {
    if (!this.all().some((dev) => dev.portId === portId)) throw new PmdError("PORT", `Invalid port ${portId}`);
    return ethDev(portId);
  }

  record(dev: EthDev): PortRecord {
    return this.#records.get(dev)!;
  }

  /** Every port is to be configured again before its next start; they must be stopped. */
  markDirty(): void {
    for (const record of this.#records.values()) record.dirty = true;
  }

  /** The mempool, made at its first use. */
  pool(): Mempool {
    if (this.#pool !== undefined) return this.#pool;
    const { mbufSize, mbcache } = this.#config;
    const n = this.#config.totalMbufs ?? this.#mbufsNeeded();
    this.#out(`testpmd: create a new mbuf pool <mb_pool_0>: n=${n}, size=${mbufSize}, socket=0\n`);
    this.#pool = Mempool.createPktmbuf(this.#eal.arena, "mb_pool_0", {
      n,
      cacheSize: Math.min(mbcache, Math.floor(n / 1.5)),
      dataRoomSize: mbufSize,
    });
    return this.#pool;
  }

  /**
   * The mempool of packets that are made here (txonly), made at its first use. No port receives into it, so its buffers hold
   * nothing but heads and the zeros they were reserved with, which need not be written again for each packet.
   * @returns null where memory has no room for a second pool
   */
  txPool(): Mempool | null {
    if (this.#txPool !== undefined) return this.#txPool;
    const { mbufSize, mbcache, txq, txd } = this.#config;
    const rings = this.all().length * txq * (txd || DESCRIPTORS_GUESS);
    const lcores = this.#eal.lcores.all.length * (1.5 * mbcache + SEGS_MAX * BURST_MAX);
    const n = Math.min(this.pool().size, Math.ceil(rings + lcores));
    try {
      const cacheSize = Math.min(mbcache, Math.floor(n / 1.5));
      this.#txPool = Mempool.createPktmbuf(this.#eal.arena, "mb_pool_tx", { n, cacheSize, dataRoomSize: mbufSize });
    } catch (error) {
      if (!(error instanceof ShmError && error.code === "ENOMEM")) throw error;
      return null;
    }
    this.#out(`testpmd: create a new mbuf pool <mb_pool_tx>: n=${n}, size=${mbufSize}, socket=0\n`);
    return this.#txPool;
  }

  /** Configures a port as the settings say, if it is not yet, and starts it. */
  async start(dev: EthDev): Promise<void> {
    if (dev.state === "started") {
      this.#out(`Port ${dev.portId} is already started\n`);
      return;
    }
    if (this.record(dev).dirty || dev.state === "unconfigured") await this.#configure(dev);
    await dev.start();
    this.#out(`Port ${dev.portId}: ${formatMac(dev.macAddrGet())}\n`);
  }

  async stop(dev: EthDev): Promise<void> {
    this.#out("Stopping ports...\n");
    await dev.stop();
    this.#out("Done\n");
  }

  async close(dev: EthDev): Promise<void> {
    this.#out("Closing ports...\n");
    const { portId } = dev;
    await dev.close();
    this.#out(`Port ${portId} is closed\nDone\n`);
  }

  /** Events are not told any more: the application is ending. */
  hush(): void {
    this.#quiet = true;
  }

  async #configure(dev: EthDev): Promise<void> {
    const { rxq, txq, rxd, txd, maxPktLen } = this.#config;
    this.#out(`Configuring Port ${dev.portId} (socket 0)\n`);
    await dev.configure(rxq, txq, maxPktLen === undefined ? {} : { mtu: maxPktLen - 18 });
    for (let queue = 0; queue < rxq; queue++) await dev.rxQueueSetup(queue, rxd, this.pool());
    for (let queue = 0; queue < txq; queue++) await dev.txQueueSetup(queue, txd);
    this.record(dev).dirty = false;
    // testpmd's ports are promiscuous; one that cannot be stays as it is.
    await dev.promiscuousEnable().catch(() => {});
  }

  #adopt(dev: EthDev): void {
    // A new port's driver is still in its probe, so the port is not asked for anything here.
    this.#records.set(dev, { dirty: true, base: { ...NO_STATS }, shown: undefined });
    const tell = (what: string): void => {
      if (!this.#quiet) this.#out(`\nPort ${dev.portId}: ${what} event\n`);
    };
    dev.on("lsc", () => tell("link state change"));
    dev.on("reset", () => tell("reset"));
    dev.on("rmv", () => tell("device removal"));
    dev.on("errRecovering", () => tell("error recovering"));
    dev.on("recoverySuccess", () => tell("error recovery successful"));
    dev.on("recoveryFailed", () => tell("error recovery failed"));
  }

  /** Descriptors and caches full at once, and a burst in the hands of every lcore. */
  #mbufsNeeded(): number {
    const { rxq, txq, rxd, txd, mbcache } = this.#config;
    const port = rxq * (rxd || DESCRIPTORS_GUESS) + txq * (txd || DESCRIPTORS_GUESS);
    const lcores = this.#eal.lcores.all.length * (1.5 * mbcache + 2 * BURST_MAX);
    const keeping = this.all().filter((dev) => !dev.infoGet().keepsNoMbufs).length;
    return Math.max(MBUFS_MIN, Math.ceil((keeping + 2) * port + lcores));
  }
}
