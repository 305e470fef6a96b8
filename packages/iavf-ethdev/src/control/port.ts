// The port: ethdev's operations on a device behind a session. It owns the queues' memory and the run words that let bursts in;
// what the device has to be told goes through the session. When the device fails or goes away, bursts return 0 from the
// next turn on, and the port can be stopped and closed as ever. When it comes back, the rings go on, or are filled anew.
import { AVF_ETH_OVERHEAD, AVF_FRAME_MAX, AVF_RX_BUF_MAX, type QueuePairInfo } from "@emudev/avf";
import type { Eal, Logger } from "@emudev/eal";
import type { EthConf, EthDev, EthDevInfo, EthDevOps, EthLink } from "@emudev/ethdev";
import { MBUF_HEADROOM, type Mempool, type Memzone } from "@emudev/shm";
import { RXQ_REFILL_FAILS } from "../layout/rx-queue.ts";
import { TXQ_DOORBELL, TXQ_FULL, TXQ_RECLAIMED } from "../layout/tx-queue.ts";
import type { How } from "./comeback.ts";
import type { QueuePlan } from "./device.ts";
import { IavfError, reasonOf } from "./errors.ts";
import type { Filters } from "./filters.ts";
import { portInfo } from "./info.ts";
import { iovaOf } from "./iova.ts";
import { PTYPE_TABLE_ENTRIES, ptypeTable } from "./ptypes.ts";
import { type QueueMemory, reserveRxQueue, reserveTxQueue } from "./queue-memory.ts";
import type { Requests } from "./requests.ts";
import * as rings from "./rings.ts";
import { configureRss } from "./rss.ts";
import type { Session } from "./session.ts";
import type { SessionPort } from "./session-port.ts";

const BUF_STEP = 128;
const CRC_BYTES = 4;
const MTU_DEFAULT = 1500;

interface RxQueueState extends QueueMemory {
  bufSize: number;
  maxPkt: number;
}

export class IavfPort implements EthDevOps, SessionPort {
  readonly #eal: Eal;
  readonly #session: Session;
  readonly #filters: Filters;
  readonly #log: Logger;
  readonly #maxQueues: number;
  readonly #ptypes: Memzone;
  #dev: EthDev | null = null;
  #rx: (RxQueueState | undefined)[] = [];
  #tx: (QueueMemory | undefined)[] = [];
  #mtu = MTU_DEFAULT;
  /** Times that the device came back as it was, and after a reset; packets that lay in the rings then. */
  readonly #outages = { resumed: 0, recovered: 0, rxDropped: 0, txDropped: 0 };
  /** The application has been told of a recovery that is not over. */
  #recovering = false;

  /** @param maxQueues queue pairs that the port offers */
  constructor(eal: Eal, session: Session, filters: Filters, log: Logger, maxQueues: number) {
    this.#eal = eal;
    this.#session = session;
    this.#filters = filters;
    this.#log = log;
    this.#maxQueues = maxQueues;
    this.#ptypes = eal.arena.memzoneReserve(`${session.name}_ptypes`, PTYPE_TABLE_ENTRIES * 4);
    eal.arena.u32.set(ptypeTable(), this.#ptypes.off >>> 2);
    session.bind(this);
  }

  /** The port that these operations are for: who is told about link changes. */
  bind(dev: EthDev): void {
    this.#dev = dev;
  }

  infosGet(): EthDevInfo {
    return portInfo(this.#maxQueues, this.#session.resources);
  }

  async configure(nbRx: number, nbTx: number, conf: EthConf): Promise<void> {
    this.#freeQueues();
    if (conf.mtu !== undefined) this.#mtu = conf.mtu;
    this.#rx = new Array(nbRx).fill(undefined);
    this.#tx = new Array(nbTx).fill(undefined);
    await configureRss(this.#session, this.#session.requests, nbRx, this.#log);
    if (conf.rxOffloads?.includes("VLAN_STRIP")) await this.#filters.setStripping(true);
    await this.#filters.restore();
  }

  async rxQueueSetup(queue: number, nbDesc: number, pool: Mempool): Promise<void> {
    await this.#session.settled();
    this.#rx[queue]?.free();
    this.#rx[queue] = undefined;
    const room = Math.min(pool.dataRoom - MBUF_HEADROOM, AVF_RX_BUF_MAX);
    const bufSize = room - (room % BUF_STEP);
    const maxPkt = Math.min(this.#mtu + AVF_ETH_OVERHEAD, AVF_FRAME_MAX);
    const memory = reserveRxQueue(this.#eal.arena, `${this.#session.name}_rxq${queue}`, {
      size: nbDesc,
      doorbell: this.#session.transport.doorbells.rx(queue),
      pool: pool.off,
      bufSize,
      maxPkt,
      ptypes: this.#ptypes.off,
      portId: this.#dev?.portId ?? 0,
    });
    this.#rx[queue] = { ...memory, bufSize, maxPkt };
  }

  async txQueueSetup(queue: number, nbDesc: number): Promise<void> {
    await this.#session.settled();
    this.#tx[queue]?.free();
    this.#tx[queue] = undefined;
    this.#tx[queue] = reserveTxQueue(this.#eal.arena, `${this.#session.name}_txq${queue}`, {
      size: nbDesc,
      doorbell: this.#session.transport.doorbells.tx(queue),
      maxPkt: AVF_FRAME_MAX - CRC_BYTES,
    });
  }

  async start(): Promise<void> {
    for (;;) {
      await this.#session.settled();
      try {
        this.#fill();
        await this.#session.start(this.#plan());
        break;
      } catch (error) {
        this.#empty();
        if (!(error instanceof IavfError && error.code === "RESET")) throw error;
      }
    }
    // A device that failed in this very turn is found by what it left: bursts stay out.
    if (this.#session.state === "running") this.#let(true);
  }

  async stop(): Promise<void> {
    this.#let(false);
    await this.#eal.synchronize();
    await this.#session.stop();
    this.#empty();
  }

  abandon(): void {
    this.#session.abandon();
  }

  async close(): Promise<void> {
    await this.#session.close();
    this.#freeQueues();
    this.#eal.arena.memzoneFree(this.#ptypes.name);
  }

  async reset(): Promise<void> {
    this.#freeQueues();
    await this.#session.reopen();
    await this.#filters.restore();
  }

  /** Goes on with another device, which takes this one's state; bursts return 0 meanwhile. */
  async migrate(path: string, waitMs: number): Promise<void> {
    this.#let(false);
    await this.#eal.synchronize();
    try {
      await this.#session.migrate(path, waitMs);
      this.#log.notice(`${this.#session.name}: goes on with the device behind ${path}`);
    } finally {
      if (this.#session.state === "running") this.#let(true);
    }
  }

  /** For people: how the connection to the device stands. */
  connectionGet(): string {
    return this.#session.status;
  }

  linkGet(): EthLink {
    const { up, speedMbps } = this.#session.link;
    return { up, speedMbps: up ? speedMbps : 0, fullDuplex: true, autoneg: true };
  }

  promiscuousSet(on: boolean): Promise<void> {
    return this.#filters.setPromiscuous(on);
  }
  allmulticastSet(on: boolean): Promise<void> {
    return this.#filters.setAllmulticast(on);
  }
  /** Queues set up from now on take packets of this size. */
  mtuSet(mtu: number): void {
    if (this.#session.isStarted) throw new IavfError("STATE", `${this.#session.name}: stop the port to change its MTU`);
    this.#mtu = mtu;
  }
  macAddrSet(mac: Uint8Array): Promise<void> {
    return this.#filters.setMac(mac);
  }
  macAddrAdd(mac: Uint8Array): Promise<void> {
    return this.#filters.addMac(mac);
  }
  macAddrRemove(mac: Uint8Array): Promise<void> {
    return this.#filters.removeMac(mac);
  }
  async vlanOffloadSet(kind: "strip" | "filter", on: boolean): Promise<void> {
    if (kind === "strip") await this.#filters.setStripping(on);
    else if (!on) throw new IavfError("ARG", `${this.#session.name}: an AVF filters VLANs always`);
  }
  vlanFilterSet(vlan: number, on: boolean): Promise<void> {
    return this.#filters.setVlan(vlan, on);
  }

  xstats(): [string, number][] {
    const { arena } = this.#eal;
    const { resumed, recovered, rxDropped, txDropped } = this.#outages;
    const list: [string, number][] = [
      ["reconnects_resumed", resumed],
      ["reconnects_recovered", recovered],
      ["rx_recovery_dropped", rxDropped],
      ["tx_recovery_dropped", txDropped],
    ];
    for (const [q, rx] of this.#rx.entries())
      if (rx !== undefined) list.push([`rx_q${q}_refill_failures`, arena.counter(rx.off + RXQ_REFILL_FAILS)]);
    for (const [q, tx] of this.#tx.entries()) {
      if (tx === undefined) continue;
      list.push([`tx_q${q}_ring_full`, arena.counter(tx.off + TXQ_FULL)]);
      list.push([`tx_q${q}_reclaimed`, arena.counter(tx.off + TXQ_RECLAIMED)]);
    }
    return list;
  }

  rxQueueOff(queue: number): number {
    return this.#rx[queue]?.off ?? 0;
  }
  txQueueOff(queue: number): number {
    return this.#tx[queue]?.off ?? 0;
  }

  /** The session's link changed. */
  onLink(): void {
    const { up, speedMbps } = this.#session.link;
    this.#log.info(`${this.#session.name}: link ${up ? `up at ${speedMbps} Mbps` : "down"}`);
    this.#dev?.notify("lsc");
  }

  /** The device is lost to us: bursts end, applications hear of it. */
  onDown(state: "failed" | "gone", why: string): void {
    this.#let(false);
    const advice = state === "gone" ? "close the port" : "reset the port";
    this.#log.error(`${this.#session.name}: ${why}; the link is down, ${advice}`);
    this.#dev?.notify("lsc");
    this.#dev?.notify(state === "gone" ? "rmv" : "reset");
  }

  onAway(why: string | null): void {
    const { arena } = this.#eal;
    this.#let(false);
    rings.unwire(arena, this.#rx, this.#tx);
    if (why !== null) this.#log.warning(`${this.#session.name}: ${why}; bursts wait until it is back`);
  }

  /** Tail words of a device that took over, with the tails. */
  rewire(): void {
    rings.rewire(this.#eal.arena, this.#rx, this.#tx, this.#session.transport.doorbells);
    rings.writeTails(this.#eal.arena, this.#rx, this.#tx);
  }

  recovering(): void {
    if (this.#recovering) return;
    this.#recovering = true;
    this.#log.warning(`${this.#session.name}: the device was reset; it is being configured anew`);
    this.#dev?.notify("errRecovering");
  }

  async restore(requests: Requests): Promise<QueuePlan> {
    const { arena } = this.#eal;
    await configureRss(this.#session, requests, this.#rx.length, this.#log);
    await this.#filters.restore(requests);
    if (this.#session.isStarted) {
      for (const rx of this.#rx) if (rx !== undefined) this.#outages.rxDropped += rings.receivedIn(arena, rx);
      for (const tx of this.#tx) if (tx !== undefined) this.#outages.txDropped += rings.unreportedIn(arena, tx);
      this.#empty();
      this.#fill();
    }
    return this.#plan();
  }

  onBack(how: How): void {
    this.#outages[how]++;
    this.#log.notice(`${this.#session.name}: ${how === "resumed" ? "goes on" : "was configured anew"}`);
    if (this.#session.state === "running") this.#let(true);
    this.#recovered("recoverySuccess");
  }

  onRecoveryFailed(why: string): void {
    this.#log.error(`${this.#session.name}: the device came back and cannot be used: ${why}; reset or close the port`);
    this.#recovering = true;
    this.#recovered("recoveryFailed");
  }

  #recovered(event: "recoverySuccess" | "recoveryFailed"): void {
    if (!this.#recovering) return;
    this.#recovering = false;
    this.#dev?.notify(event);
  }

  #let(run: boolean): void {
    rings.letBursts(this.#eal.arena, this.#rx, this.#tx, run);
  }

  /** A device may still have the tails of an earlier start: those of transmit rings are put to 0. */
  #fill(): void {
    const { arena } = this.#eal;
    for (const rx of this.#rx as RxQueueState[])
      if (!rings.fillRing(arena, rx))
        throw new IavfError("ARG", `${this.#session.name}: the mempool has fewer mbufs than ${rx.size} descriptors`);
    for (const tx of this.#tx)
      if (tx !== undefined) Atomics.store(arena.u32, arena.u32[(tx.off + TXQ_DOORBELL) >>> 2]! >>> 2, 0);
  }

  #empty(): void {
    rings.emptyRings(this.#eal.arena, this.#rx, this.#tx);
  }

  #plan(): QueuePlan {
    const { vsiId } = this.#session.resources.vsi;
    const count = Math.max(this.#rx.length, this.#tx.length);
    const pairs = Array.from({ length: count }, (_, q) => pairInfo(vsiId, q, this.#rx[q], this.#tx[q]));
    const mask = (queues: readonly unknown[]) => 2 ** queues.length - 1;
    return { pairs, queues: { rx: mask(this.#rx), tx: mask(this.#tx) }, macs: this.#filters.macs };
  }

  #freeQueues(): void {
    for (const queue of [...this.#rx, ...this.#tx]) {
      try {
        queue?.free();
      } catch (error) {
        this.#log.error(`${this.#session.name}: ${reasonOf(error)}`);
      }
    }
    this.#rx = [];
    this.#tx = [];
  }
}

function pairInfo(vsiId: number, queueId: number, rx?: RxQueueState, tx?: QueueMemory): QueuePairInfo {
  return {
    tx: {
      vsiId,
      queueId,
      ringLen: tx?.size ?? 0,
      headwbEnabled: 0,
      ringAddr: tx === undefined ? 0n : iovaOf(tx.ringOff),
      headwbAddr: 0n,
    },
    rx: {
      vsiId,
      queueId,
      ringLen: rx?.size ?? 0,
      hdrSize: 0,
      splithdrEnabled: 0,
      dataBufferSize: rx?.bufSize ?? 0,
      maxPktSize: rx?.maxPkt ?? 0,
      crcDisable: 0,
      rxdid: 1,
      flags: 0,
      ringAddr: rx === undefined ? 0n : iovaOf(rx.ringOff),
      splitPos: 0,
    },
  };
}
