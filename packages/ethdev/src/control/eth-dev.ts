// A port: what applications hold. It checks states and limits as rte_ethdev does, asks the driver, and keeps what survives
// the driver (settings, statistics, listeners). Main thread only; lcores get its plain data by dataPort(). Made by
// registry.ts.
import type { Arena, Mempool } from "@emudev/shm";
import { EthDevError } from "../errors.ts";
import { PortLife } from "./port-life.ts";
import { checkConfigure, checkDescriptors, checkMtu, checkOffloads, checkPool, checkQueue } from "./queue-setup.ts";
import type { PortState } from "./states.ts";
import { PortStats } from "./stats.ts";
import type {
  DataPort,
  EthConf,
  EthDevEvent,
  EthDevInfo,
  EthDevOps,
  EthLink,
  EthQueueConf,
  EthStats,
} from "./types.ts";

export interface EthDevSpec {
  ops: EthDevOps;
  driverName: string;
  /** File URL of the driver's data module. */
  dataModule: string;
  mac: Uint8Array;
  /** The text of the device's arguments, for consoles. */
  devargs?: string;
}

/** A queue as it was set up. */
export interface QueueSetup {
  nbDesc: number;
  pool?: Mempool;
}

export class EthDev {
  readonly portId: number;
  readonly name: string;
  readonly driverName: string;
  readonly devargs: string;
  readonly #ops: EthDevOps;
  readonly #module: string;
  readonly #stats: PortStats;
  readonly #listeners = new Map<EthDevEvent, Set<(dev: EthDev) => void>>();
  readonly #release: (dev: EthDev) => void;
  readonly #life: PortLife;
  #nbRx = 0;
  #nbTx = 0;
  #rx: (QueueSetup | undefined)[] = [];
  #tx: (QueueSetup | undefined)[] = [];
  #conf: EthConf = {};
  #mac: Uint8Array;
  #macs: Uint8Array[] = [];
  #mtu: number;
  #promiscuous = false;
  #allmulticast = false;
  #vlan = { strip: false, filter: false };

  constructor(portId: number, name: string, spec: EthDevSpec, arena: Arena, release: (dev: EthDev) => void) {
    this.portId = portId;
    this.name = name;
    this.driverName = spec.driverName;
    this.devargs = spec.devargs ?? "";
    this.#ops = spec.ops;
    this.#module = spec.dataModule;
    this.#mac = Uint8Array.from(spec.mac);
    this.#stats = new PortStats(arena, spec.ops);
    this.#release = release;
    this.#life = new PortLife(this.#where());
    this.#mtu = Math.min(1500, spec.ops.infosGet().maxMtu);
  }

  get state(): PortState {
    return this.#life.state;
  }
  get nbRxQueues(): number {
    return this.#nbRx;
  }
  get nbTxQueues(): number {
    return this.#nbTx;
  }
  get conf(): Readonly<EthConf> {
    return this.#conf;
  }
  /** How a queue was set up, undefined before that. */
  rxQueue(queue: number): QueueSetup | undefined {
    return this.#rx[queue];
  }
  txQueue(queue: number): QueueSetup | undefined {
    return this.#tx[queue];
  }

  /**
   * Sets the number of queues and the port's offloads. Queues have to be set up afterwards, all of them.
   * @throws EthDevError STATE while started, INVAL outside the limits
   */
  configure(nbRx: number, nbTx: number, conf: EthConf = {}): Promise<void> {
    return this.#life.transit("configure", async () => {
      checkConfigure(this.#where(), this.infoGet(), nbRx, nbTx, conf);
      await this.#withoutQueues(() => this.#ops.configure(nbRx, nbTx, conf));
      this.#stats.detach();
      this.#nbRx = nbRx;
      this.#nbTx = nbTx;
      this.#conf = conf;
      this.#rx = new Array(nbRx).fill(undefined);
      this.#tx = new Array(nbTx).fill(undefined);
      if (conf.mtu !== undefined) this.#mtu = conf.mtu;
    });
  }

  /**
   * Sets a receive queue up, or replaces it.
   * @param nbDesc descriptors, 0 = the driver's default
   */
  rxQueueSetup(queue: number, nbDesc: number, pool: Mempool, conf: EthQueueConf = {}): Promise<void> {
    return this.#life.transit("queueSetup", async () => {
      const where = `${this.#where()} receive queue ${queue}`;
      const info = this.infoGet();
      checkQueue(where, queue, this.#nbRx);
      checkOffloads(where, "receive", conf.offloads, info.rxOffloadCapa);
      checkPool(where, info, pool);
      const count = checkDescriptors(where, nbDesc, info.rxDescLim, info.defaultRxRingSize);
      await this.#withoutQueues(() => this.#ops.rxQueueSetup(queue, count, pool, conf));
      this.#rx[queue] = { nbDesc: count, pool };
      this.#stats.rxQueue(queue, this.#ops.rxQueueOff(queue));
    });
  }

  /** Sets a transmit queue up, or replaces it. */
  txQueueSetup(queue: number, nbDesc: number, conf: EthQueueConf = {}): Promise<void> {
    return this.#life.transit("queueSetup", async () => {
      const where = `${this.#where()} transmit queue ${queue}`;
      const info = this.infoGet();
      checkQueue(where, queue, this.#nbTx);
      checkOffloads(where, "transmit", conf.offloads, info.txOffloadCapa);
      const count = checkDescriptors(where, nbDesc, info.txDescLim, info.defaultTxRingSize);
      await this.#withoutQueues(() => this.#ops.txQueueSetup(queue, count, conf));
      this.#tx[queue] = { nbDesc: count };
      this.#stats.txQueue(queue, this.#ops.txQueueOff(queue));
    });
  }

  /** Starts the port; bursts may be called from now on. Quietly nothing on a started port. */
  start(): Promise<void> {
    return this.#life.transit("start", async () => {
      const missing = [...this.#rx, ...this.#tx].some((setup) => setup === undefined);
      if (missing) throw new EthDevError("STATE", `${this.#where()}: not every queue has been set up`);
      await this.#ops.start();
    });
  }

  /** Stops the port. No lcore may call its bursts any more. Quietly nothing on a port that is not started. */
  stop(): Promise<void> {
    return this.#life.transit("stop", async () => this.#ops.stop());
  }

  /** Back to the state after probe, with the port id and the MAC address kept. */
  reset(): Promise<void> {
    return this.#life.transit("reset", async () => {
      if (this.#ops.reset === undefined) throw this.#unsupported("reset");
      if (this.#life.state === "started") await this.#ops.stop();
      await this.#withoutQueues(() => this.#ops.reset!());
      this.#stats.detach();
      this.#nbRx = this.#nbTx = 0;
      this.#rx = [];
      this.#tx = [];
    });
  }

  /**
   * Stops the port if need be and closes it; its id is free then. Quietly nothing on a closed port. An operation that waits for
   * a device which is away is called off.
   */
  async close(): Promise<void> {
    if (this.#ops.abandon !== undefined) await this.#life.callOff(() => this.#ops.abandon!());
    return this.#life.transit("close", async () => {
      if (this.#life.state === "started") await this.#ops.stop();
      this.#stats.detach();
      await this.#ops.close();
      this.#release(this);
    });
  }

  /**
   * Goes on with another device, which takes over the state of the one behind the port. Queues and counters stay.
   * @param waitMs how long one at the same path may take to make way for another
   * @throws EthDevError UNSUPPORTED where the driver cannot
   */
  async migrate(path: string, { waitMs = 30_000 }: { waitMs?: number } = {}): Promise<void> {
    if (this.#ops.migrate === undefined) throw this.#unsupported("migrate");
    await this.#ops.migrate(path, waitMs);
  }

  infoGet(): EthDevInfo {
    return this.#ops.infosGet();
  }

  linkGet(): EthLink {
    return this.#ops.linkGet();
  }

  /** How the connection to the device stands; undefined where the driver has none. */
  connectionGet(): string | undefined {
    return this.#ops.connectionGet?.();
  }

  async linkSet(up: boolean): Promise<void> {
    if (this.#ops.linkSet === undefined) throw this.#unsupported(up ? "link up" : "link down");
    await this.#ops.linkSet(up);
  }

  statsGet(): EthStats {
    return this.#stats.get();
  }
  statsReset(): void {
    this.#stats.reset();
  }
  xstatsGet(): { name: string; value: number }[] {
    return this.#stats.xstats();
  }
  xstatsReset(): void {
    this.#stats.xstatsReset();
  }

  promiscuousGet(): boolean {
    return this.#promiscuous;
  }
  promiscuousEnable(): Promise<void> {
    return this.#setPromiscuous(true);
  }
  promiscuousDisable(): Promise<void> {
    return this.#setPromiscuous(false);
  }

  allmulticastGet(): boolean {
    return this.#allmulticast;
  }
  allmulticastEnable(): Promise<void> {
    return this.#setAllmulticast(true);
  }
  allmulticastDisable(): Promise<void> {
    return this.#setAllmulticast(false);
  }

  mtuGet(): number {
    return this.#mtu;
  }
  async mtuSet(mtu: number): Promise<void> {
    this.#alive();
    checkMtu(this.#where(), this.infoGet(), mtu);
    if (this.#ops.mtuSet === undefined) throw this.#unsupported("a change of the MTU");
    await this.#ops.mtuSet(mtu);
    this.#mtu = mtu;
  }

  /** The MAC address, six bytes. */
  macAddrGet(): Uint8Array {
    return Uint8Array.from(this.#mac);
  }
  /** The MAC address and the further ones. */
  macAddrs(): Uint8Array[] {
    return [this.#mac, ...this.#macs].map((mac) => Uint8Array.from(mac));
  }
  async macAddrSet(mac: Uint8Array): Promise<void> {
    this.#checkMac(mac);
    if (this.#ops.macAddrSet === undefined) throw this.#unsupported("a change of the MAC address");
    await this.#ops.macAddrSet(mac);
    this.#mac = Uint8Array.from(mac);
  }
  /** The driver (or what stands behind it) has another MAC address now. */
  macAddrChanged(mac: Uint8Array): void {
    this.#mac = Uint8Array.from(mac);
  }
  async macAddrAdd(mac: Uint8Array): Promise<void> {
    this.#checkMac(mac);
    if (this.macAddrs().some((known) => same(known, mac))) return;
    const { maxMacAddrs } = this.infoGet();
    if (this.#macs.length + 1 >= maxMacAddrs)
      throw new EthDevError("LIMIT", `${this.#where()}: no room for another MAC address; there are ${maxMacAddrs}`);
    if (this.#ops.macAddrAdd === undefined) throw this.#unsupported("a further MAC address");
    await this.#ops.macAddrAdd(mac);
    this.#macs.push(Uint8Array.from(mac));
  }
  async macAddrRemove(mac: Uint8Array): Promise<void> {
    this.#alive();
    if (same(this.#mac, mac)) throw new EthDevError("INVAL", `${this.#where()}: the default MAC address stays`);
    const at = this.#macs.findIndex((known) => same(known, mac));
    if (at < 0) return;
    if (this.#ops.macAddrRemove === undefined) throw this.#unsupported("removal of a MAC address");
    await this.#ops.macAddrRemove(mac);
    this.#macs.splice(at, 1);
  }

  vlanOffloadGet(): { strip: boolean; filter: boolean } {
    return { ...this.#vlan };
  }
  async vlanOffloadSet(kind: "strip" | "filter", on: boolean): Promise<void> {
    this.#alive();
    if (this.#ops.vlanOffloadSet === undefined) throw this.#unsupported(`VLAN ${kind}`);
    await this.#ops.vlanOffloadSet(kind, on);
    this.#vlan[kind] = on;
  }
  async vlanFilterSet(vlan: number, on: boolean): Promise<void> {
    this.#alive();
    if (!Number.isInteger(vlan) || vlan < 0 || vlan > 4095)
      throw new EthDevError("INVAL", `${this.#where()}: VLAN ${vlan} is not from 0 to 4095`);
    if (this.#ops.vlanFilterSet === undefined) throw this.#unsupported("VLAN filters");
    await this.#ops.vlanFilterSet(vlan, on);
  }

  /** Calls `listener` at every such event; returns a function that ends that. */
  on(event: EthDevEvent, listener: (dev: EthDev) => void): () => void {
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  /** Called by the driver: something happened to the port. */
  notify(event: EthDevEvent): void {
    for (const listener of [...(this.#listeners.get(event) ?? [])]) listener(this);
  }

  /**
   * The port as plain data for the threads that poll it; valid until its queues are set up again.
   * @throws EthDevError STATE before every queue has been set up
   */
  dataPort(): DataPort {
    if ([...this.#rx, ...this.#tx].some((setup) => setup === undefined))
      throw new EthDevError("STATE", `${this.#where()}: not every queue has been set up`);
    return {
      portId: this.portId,
      module: this.#module,
      rx: this.#rx.map((_, queue) => this.#ops.rxQueueOff(queue)),
      tx: this.#tx.map((_, queue) => this.#ops.txQueueOff(queue)),
    };
  }

  async #setPromiscuous(on: boolean): Promise<void> {
    this.#alive();
    if (this.#promiscuous === on) return;
    if (this.#ops.promiscuousSet === undefined) throw this.#unsupported("promiscuous mode");
    await this.#ops.promiscuousSet(on);
    this.#promiscuous = on;
  }

  async #setAllmulticast(on: boolean): Promise<void> {
    this.#alive();
    if (this.#allmulticast === on) return;
    if (this.#ops.allmulticastSet === undefined) throw this.#unsupported("allmulticast mode");
    await this.#ops.allmulticastSet(on);
    this.#allmulticast = on;
  }

  /** Runs what may free the queues' states: their counts are read before, and their places again afterwards. */
  async #withoutQueues(effect: () => Promise<void> | void): Promise<void> {
    this.#stats.detach();
    try {
      await effect();
    } finally {
      for (const [queue, setup] of this.#rx.entries())
        if (setup !== undefined) this.#stats.rxQueue(queue, this.#ops.rxQueueOff(queue));
      for (const [queue, setup] of this.#tx.entries())
        if (setup !== undefined) this.#stats.txQueue(queue, this.#ops.txQueueOff(queue));
    }
  }

  #alive(): void {
    if (this.#life.state === "closed") throw new EthDevError("NODEV", `${this.#where()}: it is closed`);
  }

  #checkMac(mac: Uint8Array): void {
    this.#alive();
    if (mac.length !== 6 || (mac[0]! & 1) === 1 || mac.every((byte) => byte === 0))
      throw new EthDevError("INVAL", `${this.#where()}: a MAC address must be six bytes, unicast and not zero`);
  }

  #unsupported(what: string): EthDevError {
    return new EthDevError("NOTSUP", `${this.#where()}: ${this.driverName} does not support ${what}`);
  }

  #where(): string {
    return `port ${this.portId} (${this.name})`;
  }
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
