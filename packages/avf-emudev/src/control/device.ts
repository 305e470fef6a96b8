// One emulated AVF: ties the registers, admin queues, interrupts, doorbells and the function's configuration together, is the
// device behind the vfio-user server, and carries out what virtchnl handlers and resets ask for. Whatever takes memory, a
// queue or an eventfd away waits for the backend's answer (emuNotify) or for the lcores (QSBR), and only then is the client
// answered. ops.ts shows the same device to the emudev class.
import {
  type EthStatsWords,
  encode,
  ICR0_ADMINQ,
  ITR_INDEX_NONE,
  linkSpeedBit,
  pfEventCodec,
  REG,
  VF_CAP,
  VIRTCHNL_EVENT,
  VIRTCHNL_OP,
} from "@emudev/avf";
import type { Eal, Logger } from "@emudev/eal";
import {
  AttributeStore,
  type AttrName,
  type AttrValue,
  EMU_DEV_EVENT_ATTR_CHANGE,
  EMU_DEV_EVENT_CLIENT_DOWN,
  EMU_DEV_EVENT_CLIENT_UP,
  EMU_DEV_EVENT_MEM_CHANGE,
  EMU_DEV_EVENT_QUEUE_DISABLE,
  EMU_DEV_EVENT_QUEUE_ENABLE,
  EMU_DEV_EVENT_RESET,
  type EmuDev,
  EmuDevMemTable,
  ETH_STATS_BYTES,
  emuNotify,
  VECTOR_BYTES,
} from "@emudev/emudev";
import { closeFd } from "@emudev/linux";
import {
  type ClientInfo,
  type DmaRegion,
  ERRNO,
  PCI_IRQ,
  PCI_REGION,
  type PciConfig,
  type ResetReason,
  refusal,
  type VfioUserDevice,
  VfioUserServer,
} from "@emudev/vfio-user";
import { AdminQueues } from "./admin-queue.ts";
import { Bar0 } from "./bar0.ts";
import { Counters } from "./counters.ts";
import { Doorbells } from "./doorbells.ts";
import { MSIX_BAR, MsixBar, makeConfig, makeIrqs, makeRegions } from "./function.ts";
import { Interrupts } from "./interrupts.ts";
import { frameMax, type Params } from "./params.ts";
import { type Event, next, RESET_MS, rstat, type State } from "./states.ts";
import { enabledQueues, newVf, type Vf } from "./vf.ts";
import type { VirtchnlContext } from "./virtchnl/context.ts";
import { dispatch } from "./virtchnl/dispatch.ts";

const NO_STATS = new Uint8Array(ETH_STATS_BYTES);

export class AvfDevice implements VfioUserDevice {
  readonly counters = new Counters();
  readonly attributes: AttributeStore;
  readonly memory: EmuDevMemTable;
  readonly interrupts: Interrupts;
  readonly doorbells: Doorbells;
  readonly server: VfioUserServer;
  readonly info = { resettable: true };
  readonly regions;
  readonly irqs;
  /** MSI-X vectors, vector 0 included. */
  readonly vectors: number;
  vf: Vf;
  /** Arena offset of the counters that the backend lends, null = none. */
  statsOff: number | null = null;
  readonly #eal: Eal;
  readonly #log: Logger;
  readonly #name: string;
  readonly #params: Params;
  readonly #dev: EmuDev;
  readonly #config: PciConfig;
  readonly #bar0: Bar0;
  readonly #msix: MsixBar;
  readonly #admin: AdminQueues;
  readonly #context: VirtchnlContext;
  #state: State = "active";
  #resetTimer: NodeJS.Timeout | null = null;
  #pairs: number;
  #memChange: Promise<void> | null = null;

  constructor(eal: Eal, dev: EmuDev, params: Params, mac: Uint8Array) {
    const { name } = dev;
    this.#eal = eal;
    this.#log = eal.log.child("pmd.emu.iavf");
    this.#dev = dev;
    this.#name = name;
    this.#params = params;
    this.#pairs = params.queues;
    this.vectors = params.queues + 1;
    this.vf = newVf(params.queues);
    this.attributes = new AttributeStore({
      mac,
      mtu: params.mtu,
      max_frame: frameMax(params.mtu),
      link_speed: params.speed,
    });
    this.memory = new EmuDevMemTable(eal.arena, eal.qsbr, name);
    this.doorbells = new Doorbells(eal.arena, name, params.doorbell);
    const words = eal.arena.memzoneReserve(`${name}.vectors`, this.vectors * VECTOR_BYTES, 64).off;
    this.interrupts = new Interrupts(eal.arena, eal.qsbr, words, this.vectors, (vector, index, interval) => {
      if (vector > 0) this.doorbells.write(REG.VFINT_ITRN1.offset + index * 0x40 + (vector - 1) * 4, interval);
    });
    this.#admin = new AdminQueues(
      this.memory,
      { message: (op, data) => this.#message(op, data), arqEvent: () => this.interrupts.cause(ICR0_ADMINQ) },
      this.counters,
    );
    this.#bar0 = new Bar0({
      admin: this.#admin,
      interrupts: this.interrupts,
      doorbells: this.doorbells,
      counters: this.counters,
      rstat: () => rstat(this.#state),
    });
    this.#msix = new MsixBar(this.interrupts);
    this.#config = makeConfig(this.vectors, () => this.#deviceReset());
    this.regions = makeRegions(this.#config, () => this.doorbells.mmap());
    this.irqs = makeIrqs(this.vectors);
    this.#context = this.#makeContext();
    this.server = new VfioUserServer(params.path, this, { log: this.#log });
  }

  get state(): State {
    return this.#state;
  }

  /** Everything of the device is given back; the server must be stopped. */
  async close(): Promise<void> {
    if (this.#resetTimer !== null) clearTimeout(this.#resetTimer);
    await this.memory.close();
    await this.interrupts.setFds(0, Array(this.vectors).fill(-1));
    this.interrupts.reset();
    this.doorbells.close();
    this.#eal.arena.memzoneFree(`${this.#name}.vectors`);
  }

  /** An attribute the provider owns has a new value: the backend is told. */
  setAttr(name: AttrName, value: AttrValue): void {
    const index = this.attributes.set(name, value);
    void emuNotify(this.#dev, EMU_DEV_EVENT_ATTR_CHANGE, index);
  }

  /** The backend has set one. */
  backendSetAttr(name: AttrName, value: AttrValue): void {
    const before = this.attributes.get(name);
    this.attributes.set(name, value, "backend");
    if ((name === "link_up" || name === "link_speed") && before !== value && enabledQueues(this.vf).length > 0)
      this.#linkEvent();
  }

  // What the vfio-user server calls.

  regionRead(index: number, offset: number, into: Uint8Array): void {
    if (index === PCI_REGION.CONFIG) this.#config.read(offset, into);
    else if (index === MSIX_BAR) this.#msix.read(offset, into);
    else this.#bar0.readBytes(offset, into);
  }

  regionWrite(index: number, offset: number, data: Uint8Array): void | Promise<void> {
    if (index === PCI_REGION.CONFIG) return this.#config.write(offset, data);
    if (index === MSIX_BAR) return this.#msix.write(offset, data);
    this.#bar0.writeBytes(offset, data);
  }

  async dmaMap(region: DmaRegion): Promise<void> {
    const { server } = this;
    await this.memory.map(region, {
      read: (iova, bytes) => server.dmaRead(iova, bytes),
      write: (iova, data) => server.dmaWrite(iova, data),
    });
    this.#memoryChanged();
  }

  async dmaUnmap(iova: bigint, size: bigint): Promise<void> {
    await this.memory.unmap(iova, size);
    this.#memoryChanged();
  }

  async dmaUnmapAll(): Promise<void> {
    await this.memory.unmapAll();
    this.#memoryChanged();
  }

  async setIrqs(index: number, start: number, fds: readonly number[]): Promise<void> {
    if (index === PCI_IRQ.MSIX) return this.interrupts.setFds(start, fds);
    // Error and request notifiers are taken and never used: this device neither fails nor asks to be unplugged.
    for (const fd of fds) if (fd >= 0) closeFd(fd);
  }

  trigger(index: number, vector: number): void {
    if (index !== PCI_IRQ.MSIX) throw refusal(ERRNO.EINVAL, "only MSI-X vectors can be triggered");
    this.interrupts.vectors[vector]?.raise();
  }

  async reset(reason: ResetReason): Promise<void> {
    if (reason === "disconnect") this.#config.reset();
    await this.#deviceReset();
    if (reason === "disconnect") this.doorbells.disconnect();
  }

  connected(client: ClientInfo): void {
    this.doorbells.connect();
    this.#mapItrRegisters();
    this.#log.info(`${this.#name}: a client (pid ${client.pid}) has the device`);
    this.setAttr("client", `pid ${client.pid}`);
    void emuNotify(this.#dev, EMU_DEV_EVENT_CLIENT_UP);
  }

  disconnected(): void {
    this.#log.notice(`${this.#name}: the client has left; waiting for the next one at ${this.#params.path}`);
    this.setAttr("client", null);
    void emuNotify(this.#dev, EMU_DEV_EVENT_CLIENT_DOWN);
  }

  // What virtchnl asks for.

  #makeContext(): VirtchnlContext {
    const device = this;
    return {
      get vf() {
        return device.vf;
      },
      pairsMax: this.#params.queues,
      vectors: this.vectors,
      frameMax: frameMax(this.#params.mtu),
      mac: () => this.attributes.get("mac"),
      stats: () => this.#stats(),
      setAttr: (name, value) => this.setAttr(name, value),
      queuesEnabled: (numbers) => this.#notifyQueues(EMU_DEV_EVENT_QUEUE_ENABLE, numbers),
      queuesDisabled: async (numbers) => {
        await this.#notifyQueues(EMU_DEV_EVENT_QUEUE_DISABLE, numbers);
        for (const number of numbers) this.doorbells.clearTail(number);
      },
      linkEvent: () => this.#linkEvent(),
      resetVf: () => this.#vfReset(),
      changePairs: (pairs) => {
        this.#pairs = pairs;
        this.#sendEvent(VIRTCHNL_EVENT.RESET_IMPENDING, 0, false);
        return this.#vfReset();
      },
      vectorsMapped: () => this.#mapItrRegisters(),
    };
  }

  async #message(op: number, data: Uint8Array): Promise<void> {
    const { vf } = this;
    const reply = await dispatch(this.#context, op, data, this.counters);
    if (reply === null || vf !== this.vf) return; // a reset came between: nobody waits for it
    this.#admin.send(op, reply.status, reply.data ?? new Uint8Array(0));
    reply.after?.();
  }

  async #notifyQueues(type: number, numbers: readonly number[]): Promise<void> {
    await Promise.all(numbers.map((number) => emuNotify(this.#dev, type, number)));
  }

  #linkEvent(): void {
    this.counters.linkEvents++;
    this.#sendEvent(VIRTCHNL_EVENT.LINK_CHANGE, this.attributes.get("link_speed"), this.attributes.get("link_up"));
  }

  #sendEvent(event: number, mbps: number, linkUp: boolean): void {
    const linkSpeed = (this.vf.caps & VF_CAP.ADV_LINK_SPEED) !== 0 ? mbps : linkSpeedBit(mbps);
    this.#admin.send(VIRTCHNL_OP.EVENT, 0, encode(pfEventCodec, { event, linkSpeed, linkUp, severity: 0 }));
  }

  #stats(): Uint8Array {
    const off = this.statsOff;
    return off === null ? NO_STATS : this.#eal.arena.u8.slice(off, off + ETH_STATS_BYTES);
  }

  /** A queue vector's gap is that of its receive queue's ITR register, in the doorbell pages. */
  #mapItrRegisters(): void {
    this.interrupts.vectors.forEach((vector, number) => {
      if (number === 0) return;
      const queue = this.vf.rx.find((q) => q.vector === number) ?? this.vf.tx.find((q) => q.vector === number);
      const index = queue?.itr ?? ITR_INDEX_NONE;
      vector.setItrRegister(index === ITR_INDEX_NONE ? 0 : this.doorbells.itrOff(number, index));
    });
  }

  // Resets.

  /** RESET_VF: RSTAT reads "in progress" for RESET_MS at least, and for as long as the backend needs to let go. */
  async #vfReset(): Promise<void> {
    if (!this.#enter("vfReset")) return;
    this.#admin.reset();
    const elapsed = new Promise<void>((done) => {
      this.#resetTimer = setTimeout(done, RESET_MS);
    });
    await Promise.all([this.#quiesce(), elapsed]);
    this.#resetTimer = null;
    this.#enter("elapsed");
  }

  async #deviceReset(): Promise<void> {
    this.#enter("deviceReset");
    this.#admin.reset();
    this.#pairs = this.#params.queues;
    await this.#quiesce();
  }

  /** The function as after power-on, once nobody touches the guest's rings any more. */
  async #quiesce(): Promise<void> {
    this.counters.resets++;
    this.vf = newVf(this.#pairs);
    await emuNotify(this.#dev, EMU_DEV_EVENT_RESET);
    this.interrupts.reset();
    this.#mapItrRegisters();
    this.doorbells.clear();
    this.#bar0.reset();
    this.#msix.reset();
    for (const name of ["mac_filters", "vlan_filters"] as const) this.setAttr(name, []);
    for (const name of ["promisc_unicast", "promisc_multicast", "vlan_strip"] as const) this.setAttr(name, false);
  }

  #enter(event: Event): boolean {
    const to = next(this.#state, event);
    if (to === null) return false;
    this.#state = to;
    return true;
  }

  /** Maps come in batches; one event tells of all that came since the backend answered the last. */
  #memoryChanged(): void {
    this.#memChange ??= emuNotify(this.#dev, EMU_DEV_EVENT_MEM_CHANGE).finally(() => {
      this.#memChange = null;
    });
  }
}

/** Named for documentation: what regionMap("eth_stats") holds. */
export type StatsWords = EthStatsWords;
