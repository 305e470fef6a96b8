// A scripted AVF on VfioUserServer: a register array, admin queues in the driver's own memory, and replies that a test can
// replace. It moves packets from transmit queue q to receive queue q when told to. It keeps what it saw in order, so that
// tests can hold the driver against the bring-up of Linux. Only for tests: nothing here defends itself.
import * as A from "@emudev/avf";
import { closeFd, eventfd, eventfdWrite, type Mapping, mapAnywhere, memfdCreate, PROT } from "@emudev/linux";
import {
  type IoFd,
  IRQ_FLAG,
  PCI_IRQ,
  PCI_REGION,
  REGION_FLAG,
  type RegionSpec,
  type VfioUserDevice,
  VfioUserServer,
} from "@emudev/vfio-user";

export interface Reply {
  status: number;
  bytes: Uint8Array;
}
export interface FakeOptions {
  /** Doorbell pages can be mapped. */
  doorbells?: boolean;
  /** Queue pairs with ioeventfds and shadow memory. */
  ioeventfds?: number;
  vectors?: number;
  deviceId?: number;
  caps?: number;
  pairs?: number;
  rssKeySize?: number;
  /** Keeps its state while its client is away, as a device with a state file. */
  keep?: boolean;
}

const OK: Reply = { status: 0, bytes: new Uint8Array(0) };
export const FAKE_MAC = Uint8Array.of(2, 0, 0, 0, 0, 0x77);
const { REG, VIRTCHNL_OP: OP } = A;

export class FakeAvf implements VfioUserDevice {
  readonly info = { resettable: true };
  readonly irqs;
  readonly regions: RegionSpec[];
  server: VfioUserServer;
  readonly config = new Uint8Array(256);
  readonly registers = new Uint32Array(A.BAR0_BYTES / 4);
  /** virtchnl ops in the order they came. */
  readonly ops: number[] = [];
  /** Names of registers written, in order. */
  readonly writes: string[] = [];
  /** Replies by op instead of the usual ones; null = no reply at all. */
  readonly script = new Map<number, (bytes: Uint8Array) => Reply | null>();
  /** Eventfds by queue: receive q at 2 q, transmit q at 2 q + 1. */
  readonly bells: number[];
  queues: A.VsiQueueConfig | null = null;
  enabled = { rx: 0, tx: 0 };
  macs: string[] = [];
  resets: string[] = [];
  dma: { iova: bigint; size: bigint; map: Mapping; view: DataView; bytes: Uint8Array } | null = null;
  readonly #fds = new Map<number, number>();
  readonly #page: { fd: number; map: Mapping; u32: Uint32Array };
  readonly #options: Required<FakeOptions>;
  #txHead: number[] = [];
  #rxHead: number[] = [];
  #partial = new Map<number, Uint8Array[]>();

  constructor(path: string, options: FakeOptions = {}) {
    const all = {
      doorbells: true,
      ioeventfds: 0,
      vectors: 3,
      deviceId: 0x1889,
      pairs: 2,
      caps: 0x900e1,
      rssKeySize: 52,
      keep: false,
      ...options,
    };
    this.#options = all;
    this.bells = Array.from({ length: 2 * all.ioeventfds }, () => eventfd());
    const fd = memfdCreate("fake-bar0", A.BAR0_BYTES, { seals: true });
    const map = mapAnywhere(A.BAR0_BYTES, PROT.READ | PROT.WRITE, fd, 0);
    this.#page = { fd, map, u32: new Uint32Array(map.buffer) };
    const rw = REGION_FLAG.READ | REGION_FLAG.WRITE;
    const areas = [A.BAR0_QTX_PAGE, A.BAR0_QRX_PAGE].map((offset) => ({ offset, size: A.BAR0_PAGE_BYTES }));
    const bar0: RegionSpec = { index: 0, size: A.BAR0_BYTES, flags: rw };
    if (all.doorbells) bar0.mmap = () => ({ fd, areas });
    this.regions = [
      bar0,
      { index: PCI_REGION.CONFIG, size: 256, flags: rw },
      { index: PCI_REGION.VGA, size: 0, flags: 0 },
    ];
    this.irqs = [{ index: PCI_IRQ.MSIX, count: all.vectors, flags: IRQ_FLAG.EVENTFD }];
    const view = new DataView(this.config.buffer);
    view.setUint16(0, 0x8086, true);
    view.setUint16(2, all.deviceId, true);
    view.setUint16(6, 0x10, true);
    view.setUint8(0x34, 0x70);
    view.setUint8(0x70, 0x11);
    view.setUint16(0x72, Math.max(all.vectors, 1) - 1, true);
    this.#powerOn();
    this.server = new VfioUserServer(path, this);
    this.server.start();
  }

  /** The server's process ends. */
  async away(): Promise<void> {
    await this.server.stop();
  }

  /** Another one begins. @param pairs queue pairs that it has */
  comeBack(pairs = this.#options.pairs): void {
    this.#options.pairs = pairs;
    this.server = new VfioUserServer(this.server.sockAddr, this);
    this.server.start();
  }

  async stop(): Promise<void> {
    await this.server.stop();
    this.#dropAll();
    this.#page.map.unmap();
    closeFd(this.#page.fd);
    this.bells.forEach(closeFd);
  }

  ioFds(index: number): IoFd[] {
    if (index !== 0) return [];
    return this.bells.map((fd, i) => {
      const offset = (i % 2 === 0 ? REG.QRX_TAIL1 : REG.QTX_TAIL1).offset + 4 * (i >>> 1);
      return { offset, size: 4, fd, type: "shadow", shadow: { fd: this.#page.fd, offset } };
    });
  }

  /** Sends an event to the driver, as the device would. */
  event(fields: Partial<A.PfEvent>): void {
    const msg = { event: A.VIRTCHNL_EVENT.LINK_CHANGE, linkSpeed: 10000, linkUp: true, severity: 0, ...fields };
    this.post(OP.EVENT, { status: 0, bytes: A.encode(A.pfEventCodec, msg) });
  }

  /** What hardware does on its own: forgets the driver's queues without a word. */
  resetItself(): void {
    this.#powerOn();
  }

  /** Moves frames from each enabled transmit ring to the receive ring of the same number. Returns frames moved. */
  loop(): number {
    let moved = 0;
    for (const [q, { tx, rx }] of (this.queues?.pairs ?? []).entries()) {
      for (let head = this.#txHead[q] ?? 0; head !== this.#tail("QTX_TAIL1", q); ) {
        const at = this.#at(tx.ringAddr) + head * 16;
        const word1 = this.dma!.view.getBigUint64(at + 8, true);
        const length = Number((word1 >> 34n) & 0x3fffn);
        const from = this.#at(this.dma!.view.getBigUint64(at, true));
        const parts = this.#partial.get(q) ?? [];
        if ((word1 & 0xfn) === 0n) parts.push(this.dma!.bytes.slice(from, from + length));
        this.#partial.set(q, parts);
        if ((word1 & 0x10n) !== 0n && (word1 & 0xfn) === 0n) {
          if (!this.receive(q, Buffer.concat(parts), rx)) break;
          this.#partial.delete(q);
          moved++;
        }
        if ((word1 & 0x20n) !== 0n) this.dma!.view.setBigUint64(at + 8, word1 | 0xfn, true);
        head = (head + 1) % tx.ringLen;
        this.#txHead[q] = head;
      }
    }
    return moved;
  }

  /** Puts a frame into a receive ring; false when there is no descriptor. */
  receive(q: number, frame: Uint8Array, rx: A.RxQueueInfo = this.queues!.pairs[q]!.rx): boolean {
    const count = Math.ceil(frame.length / rx.dataBufferSize);
    const head = this.#rxHead[q] ?? 0;
    const owned = (this.#tail("QRX_TAIL1", q) - head + rx.ringLen) % rx.ringLen;
    if (owned < count) return false;
    for (let i = 0; i < count; i++) {
      const part = frame.subarray(i * rx.dataBufferSize, (i + 1) * rx.dataBufferSize);
      const at = this.#at(rx.ringAddr) + ((head + i) % rx.ringLen) * 32;
      this.dma!.bytes.set(part, this.#at(this.dma!.view.getBigUint64(at, true)));
      const word1 = (BigInt(part.length) << 38n) | (1n << 30n) | (i === count - 1 ? 3n : 1n);
      this.dma!.view.setBigUint64(at, 0n, true);
      this.dma!.view.setBigUint64(at + 8, word1, true);
    }
    this.#rxHead[q] = (head + count) % rx.ringLen;
    return true;
  }

  regionRead(index: number, offset: number, into: Uint8Array): void {
    if (index === PCI_REGION.CONFIG) into.set(this.config.subarray(offset, offset + into.length));
    else into.set(new Uint8Array(this.registers.buffer, offset, into.length));
  }

  regionWrite(index: number, offset: number, data: Uint8Array): void {
    if (index === PCI_REGION.CONFIG) return void this.config.set(data, offset);
    this.writes.push(A.regName(offset));
    new Uint8Array(this.registers.buffer).set(data, offset);
    if (offset === REG.VF_ATQT1.offset) this.#serveAdmin();
  }

  dmaMap({ iova, size, fd }: { iova: bigint; size: bigint; fd: number; fileOffset: bigint }): void {
    const map = mapAnywhere(Number(size), PROT.READ | PROT.WRITE, fd, 0);
    closeFd(fd);
    this.dma = { iova, size, map, view: new DataView(map.buffer), bytes: new Uint8Array(map.buffer) };
  }
  dmaUnmap(): void {
    this.dma?.map.unmap();
    this.dma = null;
  }
  setIrqs(_index: number, start: number, fds: readonly number[]): void {
    fds.forEach((fd, i) => {
      const old = this.#fds.get(start + i) ?? -1;
      if (old >= 0) closeFd(old);
      this.#fds.set(start + i, fd);
    });
  }
  reset(reason: string): void {
    this.resets.push(reason);
    if (reason !== "disconnect" || !this.#options.keep) this.#powerOn();
    // The doorbell pages of the next client are others.
    this.#page.u32.fill(0);
    this.enabled = { rx: 0, tx: 0 };
  }
  disconnected(): void {
    this.#dropAll();
  }

  /** Puts a message into the driver's receive queue and signals it. */
  post(op: number, { status, bytes }: Reply): void {
    const head = this.#reg(REG.VF_ARQH1);
    const ring = this.#base("VF_ARQBAH1", "VF_ARQBAL1");
    const at = ring + head * 32;
    const offered = A.aqDescriptorCodec.decode(this.dma!.view, at, 32)!;
    this.dma!.bytes.set(bytes, this.#at(offered.address));
    const msg = A.aqDescriptor({
      flags: A.AQ_FLAG_DD | A.AQ_FLAG_CMP | A.AQ_FLAG_BUF,
      opcode: A.AQ_OP_SEND_MSG_TO_VF,
      datalen: bytes.length,
      cookieHigh: op,
      cookieLow: status,
    });
    A.aqDescriptorCodec.encodeInto(this.dma!.view, at, msg);
    this.registers[REG.VF_ARQH1.offset / 4] = (head + 1) % (this.#reg(REG.VF_ARQLEN1) & A.AQ_INDEX_MASK);
    this.registers[REG.VFINT_ICR01.offset / 4]! |= A.ICR0_ADMINQ;
    this.interrupt();
  }

  /** Signals vector 0, with or without a cause. */
  interrupt(): void {
    const fd = this.#fds.get(0) ?? -1;
    if (fd >= 0) eventfdWrite(fd);
  }

  #serveAdmin(): void {
    const length = this.#reg(REG.VF_ATQLEN1) & A.AQ_INDEX_MASK;
    const ring = this.#base("VF_ATQBAH1", "VF_ATQBAL1");
    while (this.#reg(REG.VF_ATQH1) !== this.#reg(REG.VF_ATQT1)) {
      const head = this.#reg(REG.VF_ATQH1);
      const msg = A.aqDescriptorCodec.decode(this.dma!.view, ring + head * 32, 32)!;
      const bytes = this.dma!.bytes.slice(this.#at(msg.address), this.#at(msg.address) + msg.datalen);
      const flags = msg.flags | A.AQ_FLAG_DD | A.AQ_FLAG_CMP;
      A.aqDescriptorCodec.encodeInto(this.dma!.view, ring + head * 32, { ...msg, flags });
      this.registers[REG.VF_ATQH1.offset / 4] = (head + 1) % length;
      this.#serve(msg.cookieHigh, bytes);
      if (msg.cookieHigh === OP.RESET_VF) return;
    }
  }

  #serve(op: number, bytes: Uint8Array): void {
    this.ops.push(op);
    const scripted = this.script.get(op);
    const reply = scripted === undefined ? this.#answer(op, bytes) : scripted(bytes);
    if (reply !== null) this.post(op, reply);
    if (op === OP.ENABLE_QUEUES && reply?.status === 0) this.event({});
  }

  #answer(op: number, bytes: Uint8Array): Reply | null {
    switch (op) {
      case OP.VERSION:
        return { status: 0, bytes };
      case OP.RESET_VF:
        this.#powerOn();
        return null;
      case OP.GET_VF_RESOURCES: {
        const { pairs, caps, vectors, rssKeySize } = this.#options;
        const vsi = { vsiId: 5, numQueuePairs: pairs, vsiType: A.VSI_TYPE_SRIOV, qsetHandle: 0, mac: FAKE_MAC };
        const head = { numQueuePairs: pairs, maxVectors: Math.max(vectors, 2), maxMtu: 0, caps };
        const msg = { ...head, rssKeySize, rssLutSize: 64, vsis: [vsi] };
        return { status: 0, bytes: A.encode(A.vfResourceCodec, msg) };
      }
      case OP.GET_RSS_HENA_CAPS:
        return { status: 0, bytes: A.encode(A.rssHenaCodec, A.RSS_HENA_ALL) };
      case OP.CONFIG_VSI_QUEUES:
        this.queues = A.decode(A.vsiQueueConfigCodec, bytes);
        this.#txHead = [];
        this.#rxHead = [];
        return OK;
      case OP.ENABLE_QUEUES:
      case OP.DISABLE_QUEUES: {
        const { rxQueues, txQueues } = A.decode(A.queueSelectCodec, bytes)!;
        this.enabled = op === OP.ENABLE_QUEUES ? { rx: rxQueues, tx: txQueues } : { rx: 0, tx: 0 };
        return OK;
      }
      case OP.ADD_ETH_ADDR:
        this.macs.push(
          ...A.decode(A.ethAddrListCodec, bytes)!.list.map(({ addr }) => Buffer.from(addr).toString("hex")),
        );
        return OK;
      default:
        return OK;
    }
  }

  #powerOn(): void {
    this.registers.fill(0);
    this.registers[REG.VFGEN_RSTAT.offset / 4] = A.RSTAT_VFACTIVE;
    this.#page.u32.fill(0);
    this.queues = null;
    this.enabled = { rx: 0, tx: 0 };
  }

  #dropAll(): void {
    this.dmaUnmap();
    for (const fd of this.#fds.values()) if (fd >= 0) closeFd(fd);
    this.#fds.clear();
  }

  #tail(name: "QTX_TAIL1" | "QRX_TAIL1", q: number): number {
    const index = REG[name].offset / 4 + q;
    return this.#options.doorbells || q < this.#options.ioeventfds ? this.#page.u32[index]! : this.registers[index]!;
  }
  #reg(register: A.Register): number {
    return this.registers[register.offset / 4]!;
  }
  #base(high: A.RegName, low: A.RegName): number {
    return this.#at((BigInt(this.#reg(REG[high])) << 32n) | BigInt(this.#reg(REG[low])));
  }
  #at(iova: bigint): number {
    return iova === 0n ? 0 : Number(iova - this.dma!.iova);
  }
}
