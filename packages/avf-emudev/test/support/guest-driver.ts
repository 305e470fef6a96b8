// The driver's side of the admin queues, as Linux's iavf works them: registers through a bus, rings and buffers in memory. The
// tests drive it over Bar0 alone, and over a vfio-user client against the whole device.
import {
  AQ_FLAG_BUF,
  AQ_FLAG_DD,
  AQ_FLAG_RD,
  AQ_LEN_ENABLE,
  AQ_OP_SEND_MSG_TO_PF,
  type AqDescriptor,
  aqDescriptor,
  aqDescriptorCodec,
  type Codec,
  decode,
  type EthAddrList,
  encode,
  ethAddrListCodec,
  pfEventCodec,
  REG,
  type RegName,
  type VfResource,
  VIRTCHNL_OP,
  VSI_TYPE_SRIOV,
  versionCodec,
  vfResourceCodec,
} from "@emudev/avf";

export interface Bus {
  read(offset: number): Promise<number>;
  write(offset: number, value: number): Promise<void>;
}

export interface Answer {
  op: number;
  status: number;
  data: Uint8Array;
}

export const ENTRIES = 32;
const BUFFER = 4096;
const EMPTY = new Uint8Array(0);

/** Where in guest memory the driver keeps what: rings first, then buffers. */
export const LAYOUT = { atq: 0x1000, arq: 0x2000, atqBuffers: 0x10000, arqBuffers: 0x40000, end: 0x80000 };

export class GuestDriver {
  readonly bus: Bus;
  readonly memory: Uint8Array;
  readonly #base: bigint;
  /** Next send descriptor, next receive descriptor. */
  ntu = 0;
  ntc = 0;
  readonly events: { event: number; linkSpeed: number; linkUp: boolean }[] = [];

  /** @param memory at guest address `base`, LAYOUT.end bytes at least */
  constructor(bus: Bus, memory: Uint8Array, base = 0n) {
    this.bus = bus;
    this.memory = memory;
    this.#base = base;
  }

  read(name: RegName, index = 0): Promise<number> {
    return this.bus.read(REG[name].offset + 4 * index);
  }

  write(name: RegName, value: number, index = 0): Promise<void> {
    return this.bus.write(REG[name].offset + 4 * index, value);
  }

  iova(at: number): bigint {
    return this.#base + BigInt(at);
  }

  /** Both queues, in the order of the drivers: head, tail, length with ENABLE, and only then the base. */
  async initQueues(): Promise<void> {
    this.ntu = 0;
    this.ntc = 0;
    this.memory.fill(0, LAYOUT.atq, LAYOUT.atq + ENTRIES * 32);
    for (let i = 0; i < ENTRIES; i++) this.#offer(i);
    await this.#initQueue("ATQ", LAYOUT.atq);
    await this.#initQueue("ARQ", LAYOUT.arq);
    await this.write("VF_ARQT1", ENTRIES - 1);
  }

  async shutdownQueues(): Promise<void> {
    for (const queue of ["ATQ", "ARQ"] as const)
      for (const part of ["H1", "T1", "LEN1", "BAL1", "BAH1"] as const) await this.write(`VF_${queue}${part}`, 0);
  }

  /** Puts a descriptor on the send queue and rings; does not wait. */
  async post(fields: Partial<AqDescriptor>, data: Uint8Array = EMPTY): Promise<number> {
    const index = this.ntu;
    const buffer = LAYOUT.atqBuffers + index * BUFFER;
    this.memory.set(data, buffer);
    const withData = { flags: AQ_FLAG_BUF | AQ_FLAG_RD, datalen: data.length, address: this.iova(buffer) };
    const descriptor = aqDescriptor({ ...(data.length > 0 ? withData : {}), ...fields });
    this.memory.set(encode(aqDescriptorCodec, descriptor), LAYOUT.atq + index * 32);
    this.ntu = (index + 1) % ENTRIES;
    await this.write("VF_ATQT1", this.ntu);
    return index;
  }

  /** Waits until the device has taken everything; returns the written-back descriptor. */
  async done(index: number): Promise<AqDescriptor> {
    await until(async () => (await this.read("VF_ATQH1")) === this.ntu, "ATQH did not reach the tail");
    return decode(aqDescriptorCodec, this.memory.subarray(LAYOUT.atq + index * 32))!;
  }

  async command(fields: Partial<AqDescriptor>, data?: Uint8Array): Promise<AqDescriptor> {
    return this.done(await this.post(fields, data));
  }

  send(op: number, data?: Uint8Array): Promise<number> {
    return this.post({ opcode: AQ_OP_SEND_MSG_TO_PF, cookieHigh: op }, data);
  }

  /** The next message, or null when there is none now. Gives its buffer back. */
  async receive(): Promise<Answer | null> {
    if ((await this.read("VF_ARQH1")) === this.ntc) return null;
    const index = this.ntc;
    const at = LAYOUT.arq + index * 32;
    const descriptor = decode(aqDescriptorCodec, this.memory.subarray(at))!;
    if ((descriptor.flags & AQ_FLAG_DD) === 0) throw new Error(`ARQH passed descriptor ${index} before it was done`);
    const from = LAYOUT.arqBuffers + index * BUFFER;
    const data = this.memory.slice(from, from + descriptor.datalen);
    this.ntc = (index + 1) % ENTRIES;
    this.#offer(index);
    await this.write("VF_ARQT1", index);
    return { op: descriptor.cookieHigh, status: descriptor.cookieLow, data };
  }

  /** The next message that is no event; events are kept in `events`. */
  async answer(): Promise<Answer> {
    let answer: Answer | null = null;
    await until(async () => {
      answer = await this.receive();
      if (answer?.op === VIRTCHNL_OP.EVENT) {
        this.events.push(decode(pfEventCodec, answer.data)!);
        answer = null;
      }
      return answer !== null;
    }, "no answer");
    return answer!;
  }

  /** Takes the events that are there. */
  async takeEvents(): Promise<GuestDriver["events"]> {
    for (let answer = await this.receive(); answer !== null; answer = await this.receive()) {
      if (answer.op !== VIRTCHNL_OP.EVENT) throw new Error(`an answer to op ${answer.op} that nobody waits for`);
      this.events.push(decode(pfEventCodec, answer.data)!);
    }
    return this.events.splice(0);
  }

  /** One virtchnl request and its answer, which must be of the same op. */
  async request(op: number, data?: Uint8Array): Promise<Answer> {
    await this.send(op, data);
    const answer = await this.answer();
    if (answer.op !== op) throw new Error(`op ${op} was answered by op ${answer.op}`);
    return answer;
  }

  /** A request that must succeed. */
  async ask(op: number, data?: Uint8Array): Promise<Uint8Array> {
    const { status, data: reply } = await this.request(op, data);
    if (status !== 0) throw new Error(`op ${op} failed with ${status}`);
    return reply;
  }

  /** VERSION and GET_VF_RESOURCES. */
  async hello(caps: number): Promise<VfResource> {
    await this.ask(VIRTCHNL_OP.VERSION, encode(versionCodec, { major: 1, minor: 1 }));
    const resources = decode(vfResourceCodec, await this.ask(VIRTCHNL_OP.GET_VF_RESOURCES, u32(caps)))!;
    if (resources.vsis[0]?.vsiType !== VSI_TYPE_SRIOV) throw new Error("no LAN VSI");
    return resources;
  }

  /** RESET_VF as Linux waits for it: the receive queue must go off, then the function come back. */
  async resetVf(): Promise<void> {
    await this.send(VIRTCHNL_OP.RESET_VF);
    await this.awaitReset();
  }

  async awaitReset(): Promise<void> {
    await until(async () => ((await this.read("VF_ARQLEN1")) & AQ_LEN_ENABLE) === 0, "the queues stayed on");
    await until(async () => (await this.read("VFGEN_RSTAT")) === 2, "the reset did not end");
  }

  async #initQueue(queue: "ATQ" | "ARQ", at: number): Promise<void> {
    await this.write(`VF_${queue}H1`, 0);
    await this.write(`VF_${queue}T1`, 0);
    await this.write(`VF_${queue}LEN1`, (ENTRIES | AQ_LEN_ENABLE) >>> 0);
    await this.write(`VF_${queue}BAL1`, Number(this.iova(at) & 0xffffffffn));
    await this.write(`VF_${queue}BAH1`, Number(this.iova(at) >> 32n));
    const low = await this.read(`VF_${queue}BAL1`);
    if (BigInt(low) !== (this.iova(at) & 0xffffffffn)) throw new Error("the base does not read back");
  }

  #offer(index: number): void {
    const address = this.iova(LAYOUT.arqBuffers + index * BUFFER);
    const descriptor = aqDescriptor({ flags: AQ_FLAG_BUF, datalen: BUFFER, address });
    this.memory.set(encode(aqDescriptorCodec, descriptor), LAYOUT.arq + index * 32);
  }
}

export function u32(...values: number[]): Uint8Array {
  const bytes = new Uint8Array(4 * values.length);
  values.forEach((value, i) => {
    new DataView(bytes.buffer).setUint32(4 * i, value, true);
  });
  return bytes;
}

export const macList = (...macs: [number, number][]): EthAddrList => ({
  vsiId: 1,
  list: macs.map(([last, type]) => ({ addr: Uint8Array.of(2, 0, 0, 0, 0, last), type })),
});
export const macs = (...list: [number, number][]): Uint8Array =>
  encode(ethAddrListCodec as Codec<EthAddrList>, macList(...list));

/** Polls as a driver does; 5 s are a device that does not answer at all. */
export async function until(condition: () => boolean | Promise<boolean>, complaint: string): Promise<void> {
  const end = Date.now() + 5000;
  for (let tries = 0; !(await condition()); tries++) {
    if (Date.now() > end) throw new Error(complaint);
    await new Promise((resolve) => (tries < 20 ? setImmediate(resolve) : setTimeout(resolve, 1)));
  }
}
