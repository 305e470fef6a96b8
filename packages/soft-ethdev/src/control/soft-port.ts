// What all ports without hardware have in common: queue states in one memzone, start and stop by a word that bursts
// look at, quiescence before anything goes. A driver gives its kind, its limits, and hooks for what is its own.
import type { Eal } from "@emudev/eal";
import type { EthConf, EthDevInfo, EthDevOps, EthLink } from "@emudev/ethdev";
import { MBUF_HEADROOM, type Mempool } from "@emudev/shm";
import { SQ_BYTES, SQ_KIND, SQ_POOL, SQ_ROOM, SQ_STARTED } from "../layout/queue.ts";
import { type Held, release } from "./held.ts";

export interface SoftPortSpec {
  driverName: string;
  kind: number;
  /** Queues a side. */
  queues: number;
  speedMbps: number;
  /** Bytes of the longest frame, without CRC. */
  maxFrame: number;
  /** Sets the words of one queue that are the driver's own; `off` is its state, where SQ_ROOM is set already (rx). */
  setUp?: (side: "rx" | "tx", queue: number, off: number) => void;
  /** The port has been stopped and no lcore uses it. */
  stopped?: () => void;
  linkUp?: () => boolean;
  macAddrSet?: (mac: Uint8Array) => void;
  mtuSet?: (mtu: number) => void;
}

const ETH_OVERHEAD = 18; // header and one VLAN tag

export class SoftPort implements EthDevOps {
  readonly #eal: Eal;
  readonly #held: Held;
  readonly #off: number;
  readonly #spec: SoftPortSpec;
  #started = false;
  #closed = false;

  /** @param held is released when the port closes; the queues' states are added to it */
  constructor(eal: Eal, name: string, held: Held, spec: SoftPortSpec) {
    this.#eal = eal;
    this.#spec = spec;
    this.#held = held;
    const zone = eal.arena.memzoneReserve(`${name}.queues`, 2 * spec.queues * SQ_BYTES, 64);
    held.push(() => eal.arena.memzoneFree(zone.name));
    this.#off = zone.off;
  }

  infosGet(): EthDevInfo {
    const { driverName, queues, maxFrame, speedMbps } = this.#spec;
    const descLim = { min: 1, max: 65_535, align: 1 };
    return {
      driverName,
      minRxBufsize: 64,
      maxRxPktlen: maxFrame,
      maxRxQueues: queues,
      maxTxQueues: queues,
      rxOffloadCapa: [],
      txOffloadCapa: ["MULTI_SEGS"],
      rxDescLim: descLim,
      txDescLim: descLim,
      defaultRxRingSize: 512,
      defaultTxRingSize: 512,
      speedCapa: [speedMbps],
      retaSize: 0,
      hashKeySize: 0,
      minMtu: 68,
      maxMtu: maxFrame - ETH_OVERHEAD,
      maxMacAddrs: 1,
    };
  }

  configure(_nbRx: number, _nbTx: number, { mtu }: EthConf): void {
    if (mtu !== undefined) this.mtuSet(mtu);
  }

  rxQueueSetup(queue: number, _nbDesc: number, pool: Mempool): void {
    const { u32 } = this.#eal.arena;
    const off = this.rxQueueOff(queue);
    u32[(off + SQ_KIND) >>> 2] = this.#spec.kind;
    u32[(off + SQ_POOL) >>> 2] = pool.off;
    u32[(off + SQ_ROOM) >>> 2] = pool.dataRoom - MBUF_HEADROOM;
    this.#spec.setUp?.("rx", queue, off);
  }

  txQueueSetup(queue: number): void {
    const off = this.txQueueOff(queue);
    this.#eal.arena.u32[(off + SQ_KIND) >>> 2] = this.#spec.kind;
    this.#spec.setUp?.("tx", queue, off);
  }

  start(): void {
    this.#setStarted(true);
  }

  async stop(): Promise<void> {
    this.#setStarted(false);
    await this.#eal.synchronize();
    this.#spec.stopped?.();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.stop();
    release(this.#held);
  }

  linkGet(): EthLink {
    const up = this.#started && (this.#spec.linkUp?.() ?? true);
    return { up, speedMbps: up ? this.#spec.speedMbps : 0, fullDuplex: true, autoneg: false };
  }

  // Everything that arrives is delivered, so these have nothing to change.
  promiscuousSet(): void {}
  allmulticastSet(): void {}

  mtuSet(mtu: number): void {
    this.#spec.mtuSet?.(mtu);
  }

  macAddrSet(mac: Uint8Array): void {
    this.#spec.macAddrSet?.(mac);
  }

  rxQueueOff(queue: number): number {
    return this.#off + 2 * queue * SQ_BYTES;
  }

  txQueueOff(queue: number): number {
    return this.#off + (2 * queue + 1) * SQ_BYTES;
  }

  #setStarted(started: boolean): void {
    this.#started = started;
    for (let i = 0; i < 2 * this.#spec.queues; i++)
      Atomics.store(this.#eal.arena.i32, (this.#off + i * SQ_BYTES + SQ_STARTED) >>> 2, started ? 1 : 0);
  }
}
