// One emulated AVF: ties the registers, admin queues, interrupts, doorbells and the function's configuration together, and is the
// device behind the vfio-user server. Whatever takes memory, a queue or an eventfd away waits for the backend's answer or
// for the lcores (QSBR), and only then is the client answered; none of these callbacks waits for the client's memory.
// mailbox.ts answers its driver, ops.ts shows it to the emudev class.
import { ICR0_ADMINQ, REG, RSS_HENA_ALL, VIRTCHNL_OP } from "@emudev/avf";
import type { Eal, Logger } from "@emudev/eal";
import {
  AttributeStore,
  EMU_DEV_EVENT_CLIENT_DOWN,
  EMU_DEV_EVENT_CLIENT_UP,
  EMU_DEV_EVENT_RESET,
  type EmuDev,
  EmuDevMemTable,
  ETH_STATS_BYTES,
  VECTOR_BYTES,
} from "@emudev/emudev";
import { closeFd, signalEventfd } from "@emudev/linux";
import {
  type ClientInfo,
  type DirtyLogOps,
  type DmaRegion,
  ERRNO,
  type IoFd,
  PCI_IRQ,
  PCI_REGION,
  type PciConfig,
  type ResetReason,
  refusal,
  type VfioUserDevice,
  VfioUserServer,
} from "@emudev/vfio-user";
import { AdminQueues } from "./admin-queue.ts";
import { Backend } from "./backend.ts";
import { Bar0 } from "./bar0.ts";
import { Counters } from "./counters.ts";
import { Doorbells } from "./doorbells.ts";
import { Faults } from "./faults/faults.ts";
import { MSIX_BAR, MsixBar, makeConfig, makeIrqs, makeRegions } from "./function.ts";
import { Interrupts } from "./interrupts.ts";
import { Link } from "./link.ts";
import { Mailbox } from "./mailbox.ts";
import { dirtyLogOf, Migration } from "./migration.ts";
import { accessOf, addressOf, frameMax, type Params } from "./params.ts";
import { POSITIONS_BYTES, Positions } from "./positions.ts";
import { ResetControl } from "./reset.ts";
import { Keeper } from "./state/keeper.ts";
import type { StateFile } from "./state/state-file.ts";
import { enabledQueues, newVf, type Vf } from "./vf.ts";

const NO_BYTES = new Uint8Array(0);

export class AvfDevice implements VfioUserDevice {
  readonly name: string;
  readonly params: Params;
  readonly counters = new Counters();
  readonly attributes: AttributeStore;
  readonly memory: EmuDevMemTable;
  readonly interrupts: Interrupts;
  readonly doorbells: Doorbells;
  readonly admin: AdminQueues;
  readonly backend: Backend;
  readonly link: Link;
  readonly resets: ResetControl;
  readonly faults: Faults;
  readonly positions: Positions;
  /** Keeps the device in a file (`state=`), null = it is reset when its client leaves. */
  readonly keeper: Keeper | null;
  readonly migration: Migration;
  readonly dirtyLog: DirtyLogOps;
  readonly server: VfioUserServer;
  readonly info = { resettable: true };
  readonly regions;
  readonly irqs;
  /** MSI-X vectors, vector 0 included. */
  readonly vectors: number;
  /** What the driver has configured; a reset replaces it. */
  vf: Vf;
  /** Queue pairs that the driver has or has asked for. */
  pairs: number;
  /** Arena offset of the counters that the backend lends, null = none. */
  statsOff: number | null = null;
  /** What the counters were where the device came from, in the order of GET_STATS. */
  statsBase: bigint[] = [];
  readonly #eal: Eal;
  readonly #log: Logger;
  readonly #mac: Uint8Array;
  readonly config: PciConfig;
  readonly bar0: Bar0;
  readonly msix: MsixBar;
  readonly #mailbox: Mailbox;
  readonly #unguard: () => void;

  /** @param mac the address that the guest finds after power-on; @param file of `state=`, which the device closes */
  constructor(eal: Eal, dev: EmuDev, params: Params, mac: Uint8Array, file: StateFile | null = null) {
    const { name } = dev;
    const { arena, qsbr } = eal;
    this.#eal = eal;
    this.#log = eal.log.child("pmd.emu.iavf");
    this.name = name;
    this.params = params;
    this.#mac = mac;
    this.pairs = params.queues;
    this.vectors = params.queues + 1;
    this.vf = newVf(params.queues);
    const { mtu, speed } = params;
    this.attributes = new AttributeStore({
      mac,
      mtu,
      max_frame: frameMax(mtu),
      link_speed: speed,
      rss_hena: RSS_HENA_ALL,
    });
    this.backend = new Backend(dev, this.attributes, this.#log);
    this.memory = new EmuDevMemTable(arena, qsbr, name, { onDemand: params.windows === "demand" });
    this.doorbells = new Doorbells(arena, name, params.doorbell, params.queues);
    const places = file?.positionsOff ?? arena.memzoneReserve(`${name}.positions`, POSITIONS_BYTES, 64).off;
    this.positions = new Positions(arena, places, file !== null);
    this.keeper = file === null ? null : new Keeper(this, file, this.#log);
    const words = arena.memzoneReserve(`${name}.vectors`, this.vectors * VECTOR_BYTES, 64).off;
    this.interrupts = new Interrupts(arena, qsbr, words, this.vectors, (vector, index, interval) =>
      this.doorbells.write(REG.VFINT_ITRN1.offset + index * 0x40 + (vector - 1) * 4, interval),
    );
    this.admin = new AdminQueues(
      this.memory,
      {
        message: (op, data) => this.#mailbox.message(op, data),
        arqEvent: () => this.interrupts.cause(ICR0_ADMINQ),
      },
      this.counters,
    );
    this.link = new Link({
      link: () => ({ up: this.linkUp, mbps: this.attributes.get("link_speed") }),
      caps: () => this.vf.caps,
      running: () => enabledQueues(this.vf).length > 0,
      sendEvent: (event) => {
        this.counters.linkEvents++;
        this.admin.send(VIRTCHNL_OP.EVENT, 0, event);
      },
    });
    this.resets = new ResetControl({
      begin: (hard) => this.#resetBegins(hard),
      quiesce: () => this.backend.tell(EMU_DEV_EVENT_RESET),
      finish: (hard) => this.#resetToInitial(hard),
      end: (hard) => {
        this.admin.release();
        if (hard) this.keeper?.forget();
        else this.keeper?.save();
      },
    });
    this.#mailbox = new Mailbox(this, this.#log);
    this.faults = new Faults(this, this.#log);
    this.bar0 = new Bar0({
      admin: this.admin,
      interrupts: this.interrupts,
      doorbells: this.doorbells,
      counters: this.counters,
      rstat: () => this.resets.rstat,
    });
    this.msix = new MsixBar(this.interrupts);
    this.config = makeConfig(this.vectors, () => this.resets.deviceReset());
    this.regions = makeRegions(this.config, () => this.doorbells.mmap());
    this.irqs = makeIrqs(this.vectors);
    this.migration = new Migration(this, this.#log);
    this.dirtyLog = dirtyLogOf(this.memory.dirty);
    this.server = new VfioUserServer(addressOf(params), this, {
      log: this.#log,
      fd: params.fd,
      poll: params.poll === "on",
      ...accessOf(params),
    });
    this.#unguard = eal.onWindowLost((window) => this.#windowLost(window));
  }

  /** As the guest sees it. */
  get linkUp(): boolean {
    return this.attributes.get("link_up") && !this.faults.linkDown;
  }

  /** Gives everything back; the server must be stopped and no backend subscribe. */
  async close(): Promise<void> {
    this.#unguard();
    this.faults.close();
    await this.memory.close();
    await this.interrupts.setFds(0, Array(this.vectors).fill(-1));
    this.interrupts.reset();
    this.doorbells.close();
    this.#eal.arena.memzoneFree(`${this.name}.vectors`);
    if (this.keeper !== null) this.keeper.close();
    else this.#eal.arena.memzoneFree(`${this.name}.positions`);
  }

  /** The counters of GET_STATS: 12 numbers of 64 bits. */
  stats(): Uint8Array {
    const bytes = new Uint8Array(ETH_STATS_BYTES);
    if (this.statsOff !== null) bytes.set(this.#eal.arena.u8.subarray(this.statsOff, this.statsOff + ETH_STATS_BYTES));
    const counters = new BigUint64Array(bytes.buffer);
    this.statsBase.forEach((base, i) => {
      counters[i]! += base;
    });
    return bytes;
  }

  /** A backend lends its counters at an arena offset, or takes them back (null): what they came to is not forgotten. */
  takeStats(off: number | null): void {
    if (off === null) this.statsBase = Array.from(new BigUint64Array(this.stats().slice().buffer));
    this.statsOff = off;
  }

  /** A queue vector's gap is that of its receive queue's ITR register, which lies in the doorbell pages. */
  mapItrRegisters(): void {
    this.interrupts.vectors.forEach((vector, number) => {
      if (number === 0) return;
      const queue = this.vf.rx.find((q) => q.vector === number) ?? this.vf.tx.find((q) => q.vector === number);
      vector.setItrRegister(this.doorbells.itrOff(number, queue?.itr));
    });
  }

  /** A window of the arena turned to zero memory: whoever lent its file has truncated it (`--sigbus-guard`). */
  #windowLost({ off, bytes }: { off: number; bytes: number }): void {
    this.keeper?.windowLost(off, bytes);
    const mine = this.memory.regions().some((region) => region.off >= off && region.off < off + bytes);
    if (!mine) return;
    this.#log.error(`${this.name}: the client's memory file was truncated; the client is dropped`);
    this.server.dropClient("its memory file was truncated");
  }

  // What the vfio-user server calls.

  regionRead(index: number, offset: number, into: Uint8Array): void {
    if (this.faults.dead) into.fill(0xff);
    else if (index === PCI_REGION.CONFIG) this.config.read(offset, into);
    else if (index === MSIX_BAR) this.msix.read(offset, into);
    else this.bar0.readBytes(offset, into);
  }

  regionWrite(index: number, offset: number, data: Uint8Array): void | Promise<void> {
    if (this.faults.dead) return;
    if (this.keeper !== null) return this.#keptWrite(this.keeper, index, offset, data);
    if (index === PCI_REGION.CONFIG) return this.config.write(offset, data);
    if (index === MSIX_BAR) return this.msix.write(offset, data);
    this.bar0.writeBytes(offset, data);
  }

  #keptWrite(keeper: Keeper, index: number, offset: number, data: Uint8Array): void | Promise<void> {
    if (index === PCI_REGION.BAR0) {
      const before = data.length === 4 ? this.bar0.kept(offset) : Number.NaN;
      this.bar0.writeBytes(offset, data);
      if (this.bar0.kept(offset) !== before) keeper.save(); // NaN, too
      return;
    }
    const reset = index === PCI_REGION.CONFIG ? this.config.write(offset, data) : this.msix.write(offset, data);
    if (reset !== undefined) return reset; // it forgets the state by itself
    keeper.save();
  }

  ioFds(index: number): readonly IoFd[] {
    return index === PCI_REGION.BAR0 ? this.doorbells.ioFds() : [];
  }

  async dmaMap(region: DmaRegion): Promise<void> {
    const { server } = this;
    await this.memory.map(region, {
      read: (iova, bytes) => server.dmaRead(iova, bytes),
      write: (iova, data) => server.dmaWrite(iova, data),
    });
    this.backend.memoryChanged();
  }

  async dmaUnmap(iova: bigint, size: bigint): Promise<void> {
    await this.memory.unmap(iova, size);
    this.backend.memoryChanged();
  }

  async dmaUnmapAll(): Promise<void> {
    await this.memory.unmapAll();
    this.backend.memoryChanged();
  }

  async setIrqs(index: number, start: number, fds: readonly number[]): Promise<void> {
    if (index === PCI_IRQ.MSIX) return this.interrupts.setFds(start, fds);
    // Error and request notifiers are taken and never used: this device neither fails nor asks to be unplugged.
    for (const fd of fds) if (fd >= 0) closeFd(fd);
  }

  trigger(index: number, vector: number): void {
    if (index !== PCI_IRQ.MSIX) throw refusal(ERRNO.EINVAL, "only MSI-X vectors can be triggered");
    // As VFIO in the kernel: the eventfd is signalled, whether or not the driver has the vector armed.
    const fd = this.interrupts.vectors[vector]?.fd ?? -1;
    if (fd >= 0) signalEventfd(fd);
  }

  /** The client's memory and eventfds are still there: the backend lets go of its queues before they go. */
  async leaving(): Promise<void> {
    if (this.keeper === null) await this.resets.deviceReset();
    else await this.keeper.clientLeft();
    this.migration.reset();
    await this.memory.dirty.stop();
  }

  async reset(reason: ResetReason): Promise<void> {
    if (reason !== "disconnect") {
      await this.resets.deviceReset();
      this.migration.reset();
      return;
    }
    const kept = this.keeper !== null;
    if (!kept) this.config.reset();
    for (const vector of this.interrupts.vectors) vector.setItrRegister(0);
    await this.#eal.synchronize(); // lcores may just have read where an ITR register lay
    this.doorbells.disconnect(kept ? this.doorbells.words() : []);
    this.mapItrRegisters();
  }

  /** Clients may come from here on. */
  listen(): void {
    this.server.start();
    this.#log.notice(`${this.name}: waiting for a client at ${addressOf(this.params)}`);
  }

  connected(client: ClientInfo): void {
    this.doorbells.connect();
    this.mapItrRegisters();
    this.#log.info(`${this.name}: a client (pid ${client.pid}) has the device`);
    void this.backend.setAttr("client", `pid ${client.pid}`);
    void this.backend.tell(EMU_DEV_EVENT_CLIENT_UP);
  }

  disconnected(): void {
    this.#log.notice(`${this.name}: the client has left; waiting for the next one at ${addressOf(this.params)}`);
    void this.backend.setAttr("client", null);
    void this.backend.tell(EMU_DEV_EVENT_CLIENT_DOWN);
  }

  #resetBegins(hard: boolean): void {
    this.counters.resets++;
    this.admin.hold(hard);
    if (hard) this.pairs = this.params.queues;
    this.vf = newVf(this.pairs);
    this.link.forget();
    this.statsBase = [];
  }

  /** Nobody touches the guest's rings any more. */
  #resetToInitial(hard: boolean): void {
    this.interrupts.reset();
    this.mapItrRegisters();
    this.doorbells.clear();
    this.bar0.reset();
    if (hard) this.msix.reset();
    const { backend } = this;
    if (hard) void backend.setAttr("mac", this.#mac);
    for (const name of ["mac_filters", "vlan_filters"] as const) void backend.setAttr(name, []);
    for (const name of ["promisc_unicast", "promisc_multicast", "vlan_strip"] as const)
      void backend.setAttr(name, false);
    for (const name of ["rss_key", "rss_lut"] as const) void backend.setAttr(name, NO_BYTES);
    void backend.setAttr("rss_hena", RSS_HENA_ALL); // as a physical function does: Linux sets key and table alone
  }
}
