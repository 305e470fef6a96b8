// A guest that does everything wrong it can: it brings an emulated AVF up as a driver would, most of the time, and then rings
// doorbells of rings full of nonsense, writes any register, sends any virtchnl message, maps and unmaps memory under
// traffic, resets, and leaves at any instant. Everything comes from one seed. Used by hostile.test.ts.
import { ftruncateSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import * as avf from "@emudev/avf";
import { closeFd, eventfd, getSeals, mapAnywhere, memfdCreate, PROT, SEAL } from "@emudev/linux";
import { VfioUserClient } from "@emudev/vfio-user";
import type { Random } from "./random.ts";

const MEMORY = 4 << 20;
const QUEUES = 2;
const RING = 512;
const AQ_ENTRIES = 32;
const AT = { atq: 0x1000, arq: 0x3000, buffers: 0x10000, replies: 0x30000, rx: 0x100000, tx: 0x200000 } as const;
const REGISTER_OFFSETS = avf.REGISTERS.flatMap((reg) =>
  Array.from({ length: reg.count }, (_, i) => reg.offset + i * reg.stride),
);
/** An echo request, or the like of it, to everybody. */
const FRAME = [
  ...Array<number>(6).fill(0xff),
  ...[2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 46, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1, 8, 0],
];
const ignore = (): void => {};

export class HostileGuest {
  readonly #random: Random;
  readonly #client: VfioUserClient;
  readonly #fd: number;
  readonly #mapping: ReturnType<typeof mapAnywhere>;
  readonly #view: DataView;
  readonly #u8: Uint8Array;
  readonly #iova: bigint;
  #aqTail = 0;

  static async connect(path: string, random: Random): Promise<HostileGuest> {
    return new HostileGuest(await VfioUserClient.connect(path), random);
  }

  private constructor(client: VfioUserClient, random: Random) {
    this.#random = random;
    this.#client = client;
    this.#fd = memfdCreate("hostile", MEMORY, { seals: random.once(2) });
    this.#mapping = mapAnywhere(MEMORY, PROT.READ | PROT.WRITE, this.#fd, 0);
    this.#view = new DataView(this.#mapping.buffer);
    this.#u8 = new Uint8Array(this.#mapping.buffer);
    this.#iova = random.pick([0n, 1n << 32n, (1n << 64n) - (1n << 24n)]);
  }

  /** Does up to `steps` things and leaves. @param truncates in the end it takes its memory away and rings the doorbells */
  async run(steps: number, truncates = false): Promise<void> {
    const random = this.#random;
    try {
      await this.#map(random.once(8) ? -1 : this.#fd);
      if (!random.once(4)) await this.#bringUp();
      for (let step = random.below(steps); step > 0; step--) await this.#step();
      if (truncates) await this.#truncate();
    } catch {
      // refused, or dropped: as it should be
    }
    this.#client.close();
    this.#mapping.unmap();
    closeFd(this.#fd);
  }

  /** Only memory without seals can go; nothing here may touch it afterwards. */
  async #truncate(): Promise<void> {
    const random = this.#random;
    if (getSeals(this.#fd) & SEAL.SHRINK) return;
    await this.#traffic();
    ftruncateSync(this.#fd, random.pick([0, AT.rx, AT.tx]));
    const ring = async (): Promise<void> => {
      for (const { offset } of [avf.REG.QTX_TAIL1, avf.REG.QRX_TAIL1, avf.REG.VF_ATQT1]) {
        await this.#write(offset, random.below(AQ_ENTRIES));
      }
    };
    for (let i = 0; i < 20 && this.#client.open; i++) await Promise.race([ring(), sleep(20)]);
  }

  async #step(): Promise<void> {
    const random = this.#random;
    const client = this.#client;
    const what = random.below(100);
    if (what < 30) await this.#traffic();
    else if (what < 50)
      await this.#write(random.pick(REGISTER_OFFSETS), random.pick([0, 31, 0x80000020, random.u32()]));
    else if (what < 60) client.regionRead(0, random.pick(REGISTER_OFFSETS), 4).catch(ignore);
    else if (what < 62) client.regionRead(random.below(10), random.below(70_000), random.below(5000)).catch(ignore);
    else if (what < 75) await this.#virtchnl(random.below(70), random.bytes(random.below(300)));
    else if (what < 77) await this.#configure();
    else if (what < 80) await this.#select(avf.VIRTCHNL_OP.DISABLE_QUEUES, random.below(4));
    else if (what < 83) await this.#remap();
    else if (what < 85) await this.#mapSomething();
    else if (what < 86) client.reset().catch(ignore);
    else if (what < 87) await this.#virtchnl(avf.VIRTCHNL_OP.RESET_VF, new Uint8Array(0));
    else if (what < 89) await this.#interrupts(random.below(5), random.below(6), 1);
    else if (what < 91) client.regionWrite(7, random.below(256), random.bytes(random.pick([1, 2, 4]))).catch(ignore);
    else for (let i = 0; i < 20; i++) this.#view.setUint32(4 * random.below(MEMORY / 4), random.u32());
  }

  // Memory and interrupts.

  async #map(fd: number): Promise<void> {
    const prot = this.#random.once(4) ? PROT.READ : PROT.READ | PROT.WRITE;
    await this.#client.dmaMap({ iova: this.#iova, size: BigInt(MEMORY), prot, fd, fileOffset: 0n }).catch(ignore);
  }

  async #remap(): Promise<void> {
    this.#client.dmaUnmap(this.#iova, BigInt(MEMORY)).catch(ignore);
    await this.#map(this.#random.once(3) ? -1 : this.#fd);
  }

  async #mapSomething(): Promise<void> {
    const random = this.#random;
    const fd = memfdCreate("small", 65_536);
    const iova = BigInt(random.u32()) << 12n;
    const size = BigInt(4096 * (1 + random.below(40)));
    const fileOffset = BigInt(4096 * random.below(8));
    await this.#client.dmaMap({ iova, size, prot: random.below(4), fd, fileOffset }).catch(ignore);
    closeFd(fd);
  }

  async #interrupts(index: number, start: number, count: number): Promise<void> {
    const fds = Array.from({ length: count }, () => eventfd());
    await this.#client.setIrqs(index, start, fds).catch(ignore);
    for (const fd of fds) closeFd(fd);
  }

  // The driver's part.

  async #write(offset: number, value: number): Promise<void> {
    const data = new Uint8Array(4);
    new DataView(data.buffer).setUint32(0, value, true);
    await this.#client.regionWrite(0, offset, data, { posted: this.#random.once(2) }).catch(ignore);
  }

  async #bringUp(): Promise<void> {
    await this.#interrupts(2, 0, 3);
    for (let i = 0; i < AQ_ENTRIES; i++) {
      const address = this.#iova + BigInt(AT.replies + avf.AQ_BUF_MAX * i);
      const desc = avf.aqDescriptor({ flags: avf.AQ_FLAG_BUF | avf.AQ_FLAG_LB, datalen: avf.AQ_BUF_MAX, address });
      this.#u8.set(avf.encode(avf.aqDescriptorCodec, desc), AT.arq + avf.AQ_DESC_BYTES * i);
    }
    const { REG } = avf;
    const length = (avf.AQ_LEN_ENABLE | AQ_ENTRIES) >>> 0;
    const low = (at: number): number => Number((this.#iova + BigInt(at)) & 0xffffffffn);
    const high = Number(this.#iova >> 32n);
    for (const [reg, value] of [
      [REG.VF_ATQH1, 0],
      [REG.VF_ATQT1, 0],
      [REG.VF_ATQLEN1, length],
      [REG.VF_ATQBAL1, low(AT.atq)],
      [REG.VF_ATQBAH1, high],
      [REG.VF_ARQH1, 0],
      [REG.VF_ARQT1, 0],
      [REG.VF_ARQLEN1, length],
      [REG.VF_ARQBAL1, low(AT.arq)],
      [REG.VF_ARQBAH1, high],
      [REG.VF_ARQT1, AQ_ENTRIES - 1],
    ] as const)
      await this.#write(reg.offset, value);
    await this.#virtchnl(avf.VIRTCHNL_OP.VERSION, avf.encode(avf.versionCodec, { major: 1, minor: 1 }));
    await this.#virtchnl(avf.VIRTCHNL_OP.GET_VF_RESOURCES, avf.encode(avf.capsCodec, 0xffffffff));
    await this.#configure();
  }

  async #configure(): Promise<void> {
    const random = this.#random;
    const common = { vsiId: 1, ringLen: RING };
    const pairs = Array.from({ length: QUEUES }, (_, queueId) => ({
      tx: {
        ...common,
        queueId,
        headwbEnabled: 0,
        headwbAddr: 0n,
        ringAddr: this.#iova + BigInt(AT.tx + queueId * RING * 16),
      },
      rx: {
        ...common,
        queueId,
        hdrSize: 0,
        splithdrEnabled: 0,
        dataBufferSize: random.pick([1024, 2048, 4096]),
        maxPktSize: random.pick([64, 1518, 9728]),
        crcDisable: random.below(2),
        rxdid: 1,
        flags: 0,
        ringAddr: this.#iova + BigInt(AT.rx + queueId * RING * 32),
        splitPos: 0,
      },
    }));
    const map = { vsiId: 1, vectorId: 1, rxqMap: 3, txqMap: 3, rxitrIdx: 0, txitrIdx: 1 };
    await this.#virtchnl(avf.VIRTCHNL_OP.CONFIG_VSI_QUEUES, avf.encode(avf.vsiQueueConfigCodec, { vsiId: 1, pairs }));
    await this.#virtchnl(avf.VIRTCHNL_OP.CONFIG_IRQ_MAP, avf.encode(avf.irqMapCodec, { vectors: [map] }));
    await this.#virtchnl(avf.VIRTCHNL_OP.CONFIG_PROMISCUOUS_MODE, avf.encode(avf.promiscCodec, { vsiId: 1, flags: 3 }));
    await this.#select(avf.VIRTCHNL_OP.ENABLE_QUEUES, 3);
  }

  async #select(op: number, queues: number): Promise<void> {
    await this.#virtchnl(op, avf.encode(avf.queueSelectCodec, { vsiId: 1, rxQueues: queues, txQueues: queues }));
  }

  /** A message, now and then in a descriptor that is wrong somewhere. */
  async #virtchnl(op: number, message: Uint8Array): Promise<void> {
    const random = this.#random;
    const buffer = AT.buffers + avf.AQ_BUF_MAX * (this.#aqTail % 16);
    this.#u8.set(message, buffer);
    const desc = avf.aqDescriptor({
      flags: message.length > 0 ? avf.AQ_FLAG_BUF | avf.AQ_FLAG_RD : 0,
      opcode: random.once(40) ? random.below(0x10000) : avf.AQ_OP_SEND_MSG_TO_PF,
      datalen: random.once(30) ? random.below(0x10000) : message.length,
      cookieHigh: op,
      address: random.once(40) ? BigInt(random.u32()) << 20n : this.#iova + BigInt(buffer),
    });
    this.#u8.set(avf.encode(avf.aqDescriptorCodec, desc), AT.atq + avf.AQ_DESC_BYTES * this.#aqTail);
    this.#aqTail = (this.#aqTail + 1) % AQ_ENTRIES;
    await this.#write(avf.REG.VF_ATQT1.offset, this.#aqTail);
    await new Promise((done) => setTimeout(done, random.below(3)));
  }

  // Traffic.

  /** New descriptors of all kinds, frames somewhere in memory, and tails that may lie beyond the rings. */
  async #traffic(): Promise<void> {
    const random = this.#random;
    const view = this.#view;
    for (let i = 0; i < 64; i++) {
      const queue = random.below(QUEUES);
      const tx = AT.tx + (queue * RING + random.below(RING)) * 16;
      view.setBigUint64(tx, this.#address(), true);
      view.setBigUint64(tx + 8, this.#command(), true);
      const rx = AT.rx + (queue * RING + random.below(RING)) * 32;
      view.setBigUint64(rx, this.#address(), true);
      view.setBigUint64(rx + 8, 0n, true);
    }
    for (let i = 0; i < 16; i++) this.#u8.set(FRAME, random.below(MEMORY - FRAME.length));
    await this.#write(avf.REG.QTX_TAIL1.offset + 4 * random.below(QUEUES), random.below(RING + 8));
    await this.#write(avf.REG.QRX_TAIL1.offset + 4 * random.below(QUEUES), random.below(RING + 8));
  }

  #address(): bigint {
    const random = this.#random;
    if (random.once(8)) return (BigInt(random.u32()) << 32n) | BigInt(random.u32());
    return this.#iova + BigInt(random.below(MEMORY));
  }

  /** The second word of a transmit descriptor: mostly data, also context (TSO), unknown types and completed ones. */
  #command(): bigint {
    const random = this.#random;
    const type = random.pick([0, 0, 0, 0, 1, 1, 2, 15]);
    if (type === 1) {
      const mss = random.pick([0, 1, 8, 1460, 9000, 16383]);
      return 1n | (BigInt(random.below(16)) << 4n) | (BigInt(random.below(1 << 18)) << 30n) | (BigInt(mss) << 50n);
    }
    const size = random.pick([0, 17, 60, 64, 1514, 16383, random.below(16384)]);
    const eop = random.once(3) ? 0n : 0x30n;
    const offsets = BigInt(random.below(1 << 18)) << 16n;
    return BigInt(type) | eop | (BigInt(random.below(4096)) << 4n) | offsets | (BigInt(size) << 34n);
  }
}
