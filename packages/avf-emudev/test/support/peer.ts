// A driver over a vfio-user client that outlives its connections: memory with admin queues, one transmit and one receive ring,
// and what it knows of them. It brings a device up, sends and takes numbered packets, and comes back to a device that was
// kept. What a driver does by hand: tests of state= count every packet with it.
import {
  encode,
  VIRTCHNL_OP as OP,
  queueSelectCodec,
  TX_CMD_EOP,
  TX_DTYPE_DONE,
  VF_CAP,
  vsiQueueConfigCodec,
} from "@emudev/avf";
import { closeFd, type Mapping, mapAnywhere, memfdCreate, PROT } from "@emudev/linux";
import { VfioUserClient } from "@emudev/vfio-user";
import { GuestDriver, LAYOUT } from "./guest-driver.ts";

const BASE = 0x1_0000_0000n;
const RAM = 0x100000;
export const TX_SIZE = 128;
export const RX_SIZE = 256;
const BUF = 1024;
const FRAME = 64;
const AT = { tx: 0x90000, rx: 0x98000, rxBuffers: 0xa0000, txBuffers: 0xe0000 };
const both = encode(queueSelectCodec, { vsiId: 1, rxQueues: 1, txQueues: 1 });
const config = encode(vsiQueueConfigCodec, {
  vsiId: 1,
  pairs: [
    {
      tx: { vsiId: 1, queueId: 0, ringLen: TX_SIZE, headwbEnabled: 0, ringAddr: BASE + BigInt(AT.tx), headwbAddr: 0n },
      rx: {
        vsiId: 1,
        queueId: 0,
        ringLen: RX_SIZE,
        hdrSize: 0,
        splithdrEnabled: 0,
        dataBufferSize: BUF,
        maxPktSize: 1518,
        crcDisable: 0,
        rxdid: 1,
        flags: 0,
        ringAddr: BASE + BigInt(AT.rx),
        splitPos: 0,
      },
    },
  ],
});

export class Peer {
  client!: VfioUserClient;
  readonly driver: GuestDriver;
  readonly #fd = memfdCreate("peer", RAM);
  readonly #ram: Mapping;
  readonly #memory: Uint8Array;
  readonly #u64: BigUint64Array;
  #txNext = 0;
  #txClean = 0;
  #rxNext = 0;
  /** Receive descriptors that came with an error: their packets come again. */
  errors = 0;

  constructor() {
    this.#ram = mapAnywhere(RAM, PROT.READ | PROT.WRITE, this.#fd, 0);
    this.#memory = new Uint8Array(this.#ram.buffer);
    this.#u64 = new BigUint64Array(this.#ram.buffer);
    const bus = {
      read: async (offset: number) =>
        new DataView((await this.client.regionRead(0, offset, 4)).slice().buffer).getUint32(0, true),
      write: (offset: number, value: number) => {
        const data = new Uint8Array(4);
        new DataView(data.buffer).setUint32(0, value, true);
        return this.client.regionWrite(0, offset, data, { posted: true });
      },
    };
    this.driver = new GuestDriver(bus, this.#memory.subarray(0, LAYOUT.end), BASE);
  }

  async connect(path: string): Promise<void> {
    this.client = await VfioUserClient.connect(path);
    const prot = PROT.READ | PROT.WRITE;
    await this.client.dmaMap({ iova: BASE, size: BigInt(RAM), prot, fd: this.#fd, mode: "map" });
  }

  /** A driver that begins. */
  async bringUp(): Promise<void> {
    const { driver } = this;
    await this.client.reset();
    await driver.initQueues();
    await driver.hello(VF_CAP.L2);
    await driver.ask(OP.CONFIG_PROMISCUOUS_MODE, Uint8Array.of(1, 0, 3, 0));
    await driver.ask(OP.CONFIG_VSI_QUEUES, config);
    this.#txNext = this.#txClean = this.#rxNext = 0;
    this.#memory.fill(0, AT.tx, AT.tx + 16 * TX_SIZE);
    for (let i = 0; i < RX_SIZE; i++) this.#post(i);
    await this.#tails();
    await driver.ask(OP.ENABLE_QUEUES, both);
  }

  /** A driver that comes back. @returns false when the device is not as it left it */
  async resume(): Promise<boolean> {
    const { driver } = this;
    if ((await driver.read("VF_ATQBAL1")) !== LAYOUT.atq || (await driver.read("VF_ATQLEN1")) === 0) return false;
    for (const queue of ["ATQ", "ARQ"] as const) await driver.write(`VF_${queue}LEN1`, 0);
    await driver.initQueues();
    await this.#tails();
    await driver.ask(OP.ENABLE_QUEUES, both);
    return true;
  }

  /** Sends packets of these numbers, as many as there is room for; returns how many. */
  async send(first: number, count: number): Promise<number> {
    const before = this.#txNext;
    while (this.#txClean !== this.#txNext && this.#u64[this.#txWord(this.#txClean)] === BigInt(TX_DTYPE_DONE))
      this.#txClean = (this.#txClean + 1) % TX_SIZE;
    let sent = 0;
    while (sent < count && (this.#txNext + 1) % TX_SIZE !== this.#txClean) {
      const at = AT.txBuffers + this.#txNext * FRAME;
      this.#memory.fill(2, at, at + 14);
      new DataView(this.#ram.buffer).setUint32(at + 16, first + sent++, true);
      this.#u64[this.#txWord(this.#txNext) - 1] = BASE + BigInt(at);
      this.#u64[this.#txWord(this.#txNext)] = (BigInt(TX_CMD_EOP | 2) << 4n) | (BigInt(FRAME) << 34n);
      this.#txNext = (this.#txNext + 1) % TX_SIZE;
    }
    if (this.#txNext !== before) await this.driver.write("QTX_TAIL1", this.#txNext);
    return sent;
  }

  /** Every descriptor that was sent is given back. */
  get idle(): boolean {
    for (let at = this.#txClean; at !== this.#txNext; at = (at + 1) % TX_SIZE)
      if (this.#u64[this.#txWord(at)] !== BigInt(TX_DTYPE_DONE)) return false;
    return true;
  }

  /** The numbers of the packets that have come since. */
  async take(): Promise<number[]> {
    const numbers: number[] = [];
    for (;;) {
      const word = this.#u64[(AT.rx + 32 * this.#rxNext + 8) >>> 3]!;
      if ((word & 1n) === 0n) break;
      const at = AT.rxBuffers + this.#rxNext * BUF;
      if (((word >> 19n) & 0xffn) !== 0n) this.errors++;
      else numbers.push(new DataView(this.#ram.buffer).getUint32(at + 16, true));
      this.#post(this.#rxNext);
      this.#rxNext = (this.#rxNext + 1) % RX_SIZE;
    }
    if (numbers.length > 0) await this.driver.write("QRX_TAIL1", this.#rxTail);
    return numbers;
  }

  close(): void {
    this.client.close();
    this.#ram.unmap();
    closeFd(this.#fd);
  }

  async #tails(): Promise<void> {
    await this.driver.write("QRX_TAIL1", this.#rxTail);
    await this.driver.write("QTX_TAIL1", this.#txNext);
    await this.driver.read("VFGEN_RSTAT");
  }

  /** All descriptors but one are the device's. */
  get #rxTail(): number {
    return (this.#rxNext + RX_SIZE - 1) % RX_SIZE;
  }

  #txWord(index: number): number {
    return (AT.tx + 16 * index + 8) >>> 3;
  }

  #post(index: number): void {
    const at = (AT.rx + 32 * index) >>> 3;
    this.#u64[at + 1] = 0n;
    this.#u64[at] = BASE + BigInt(AT.rxBuffers + index * BUF);
  }
}
