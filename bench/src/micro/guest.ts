// A guest with one transmit queue and one receive queue or more for the burst benches: memory in a file of its own, mapped as a window like a real guest's,
// with rings and buffers in it, and the states that net_avfbe would make for it. It refills its rings between runs and
// checks what it got; neither is timed. It polls, so its vectors are disarmed.
import { closeFd, memfdCreate, PROT } from "@emudev/linux";
import type { Arena, Mempool } from "@emudev/shm";
import { at } from "../layout.ts";
import { assertDone } from "../measure.ts";

const MIB = 2 ** 20;
const MEMORY = 64 * MIB;
const DESCS = 1024;
const BUFFER = 2048;
/** Packets of one run: what the ring takes, in whole bursts of 32. */
export const RUN_PACKETS = 992;

// Guest addresses; memory lies above 4 GiB, behind two smaller regions as of a PC with its low memory and firmware.
const IOVA = 0x1_4000_0000n;
const IOVA_HIGH = 1;
const IOVA_LOW = 0x4000_0000;
const TX_RING = 0;
const RX_RING = MIB;
const TX_BUFFERS = 2 * MIB;
const RX_BUFFERS = 8 * MIB;
const RX_RING_BYTES = 32 * DESCS;
const WORK_BUFFERS = 24 * MIB;

const ZONE = "bench guest";
const TX_COMMAND = 3; // end of packet, report status

/** What a guest sends, and how, where it is not plain packets. */
export interface GuestWork {
  /** Packets of one run and the longest of them; a run takes all descriptors of all packets. */
  packets: number;
  bytes: number;
  packet(i: number): Uint8Array;
  /** The descriptors of a packet whose buffer is at a guest address, two words each. */
  descriptors(i: number, address: bigint): readonly bigint[];
}

export class BenchGuest {
  readonly rxq: number;
  readonly txq: number;
  readonly #arena: Arena;
  readonly #memory: number;
  readonly #gtx: number;
  readonly #grx: number;
  readonly #doorbells: number;
  readonly #packetBytes: number;
  readonly #rxQueues: number;
  readonly #filter: number;
  /** Of all packets of the work, as they lie in the ring. */
  readonly #descriptors: Uint32Array;

  constructor(
    arena: Arena,
    pool: Mempool,
    packetBytes: number,
    { rxQueues = 1, work }: { rxQueues?: number; work?: GuestWork } = {},
  ) {
    this.#arena = arena;
    this.#packetBytes = packetBytes;
    this.#rxQueues = rxQueues;
    const fd = memfdCreate("bench-guest", MEMORY);
    this.#memory = arena.mapWindow(fd, 0, MEMORY, PROT.READ | PROT.WRITE)!;
    closeFd(fd);
    const zone = arena.memzoneReserve(ZONE, 256 * 1024, 4096).off;
    let next = zone;
    const take = (bytes: number) => {
      next += Math.ceil(bytes / 64) * 64;
      return next - Math.ceil(bytes / 64) * 64;
    };
    this.#doorbells = take(4096 * (1 + rxQueues));
    const table = take(at("MEM_TABLE_REGIONS") + 3 * at("MEM_REGION_BYTES"));
    const tableWord = take(4);
    const filter = take(at("FILTER_BYTES"));
    this.#filter = filter;
    const filterWord = take(4);
    const vectors = take((1 + rxQueues) * at("VECTOR_BYTES"));
    this.#gtx = take(at("GTX_BYTES"));
    this.#grx = take(rxQueues * at("GRX_BYTES"));
    this.rxq = take(128);
    this.txq = take(128);
    const scratch = take(at("GTX_SCRATCH_BYTES"));

    this.#set(table, "MEM_TABLE_COUNT", 3);
    const regions = [
      { iova: 0n, bytes: 0xa0000, off: this.#memory },
      { iova: 0xfffc_0000n, bytes: 0x40000, off: this.#memory },
      { iova: IOVA, bytes: MEMORY, off: this.#memory },
    ];
    for (const [i, { iova, bytes, off }] of regions.entries()) {
      const region = table + at("MEM_TABLE_REGIONS") + i * at("MEM_REGION_BYTES");
      arena.u64[(region + at("MEM_REGION_IOVA")) >>> 3] = iova;
      arena.u64[(region + at("MEM_REGION_SIZE")) >>> 3] = BigInt(bytes);
      this.#set(region, "MEM_REGION_OFF", off);
      this.#set(region, "MEM_REGION_PROT", at("MEM_PROT_READ") | at("MEM_PROT_WRITE"));
    }
    arena.u32[tableWord >>> 2] = table;
    arena.u32[filterWord >>> 2] = filter;
    this.#set(filter, "FILTER_MACS", 1);
    arena.u8.set(MAC, filter + at("FILTER_MAC"));
    const receivers = Array.from({ length: rxQueues }, (_, k) => this.#grx + k * at("GRX_BYTES"));
    for (const [i, gq] of [this.#gtx, ...receivers].entries()) {
      this.#set(gq, "GQ_MEM_WORD", tableWord);
      this.#set(gq, "GQ_DOORBELL", this.#doorbells + 4096 * i);
      arena.u64[(gq + at("GQ_BASE")) >>> 3] = IOVA + BigInt(i === 0 ? TX_RING : RX_RING + (i - 1) * RX_RING_BYTES);
      this.#set(gq, "GQ_SIZE", DESCS);
      const vector = vectors + i * at("VECTOR_BYTES");
      arena.i32[(vector + at("VECTOR_FD")) >>> 2] = -1;
      this.#set(gq, "GQ_VECTOR", vector);
    }
    this.#set(this.#gtx, "GTX_SCRATCH", scratch);
    for (const grx of receivers) {
      this.#set(grx, "GRX_FILTER_WORD", filterWord);
      this.#set(grx, "GRX_BUF_SIZE", BUFFER);
      this.#set(grx, "GRX_MAX_PKT", 9728);
    }
    this.#set(this.rxq, "RXQ_ACTIVE", 1);
    this.#set(this.rxq, "RXQ_POOL", pool.off);
    this.#set(this.rxq, "RXQ_ROOM", pool.dataRoom - at("MBUF_HEADROOM"));
    this.#set(this.rxq, "RXQ_GUESTS", this.#gtx);
    this.#set(this.txq, "TXQ_GUEST", this.#grx);
    this.#set(this.txq, "TXQ_STATES", this.#grx);
    if (work === undefined)
      for (let i = 0; i < DESCS; i++) arena.u8.set(packetOf(i, packetBytes), this.#memory + TX_BUFFERS + i * BUFFER);
    else
      for (let i = 0; i < work.packets; i++)
        arena.u8.set(work.packet(i), this.#memory + WORK_BUFFERS + i * workStride(work));
    const words = Array.from({ length: work?.packets ?? 0 }, (_, i) =>
      work!.descriptors(i, IOVA + BigInt(WORK_BUFFERS + i * workStride(work!))),
    );
    this.#descriptors = new Uint32Array(BigUint64Array.from(words.flat()).buffer);
  }

  /** Has the port's transmit queue spread packets by a table, with this scratch memory. */
  spread(table: number, scratch: number): void {
    this.#set(this.txq, "TXQ_SCRATCH", scratch);
    this.#set(this.txq, "TXQ_RSS", table);
  }

  /** Has tags taken out of what the guest receives. */
  strip(): void {
    this.#set(this.#filter, "FILTER_FLAGS", at("FILTER_STRIP"));
  }

  /** It receives packets to any address. */
  promiscuous(): void {
    this.#set(this.#filter, "FILTER_FLAGS", at("FILTER_ALL_UNICAST"));
  }

  /** The table of a CRC that checksums of the guest's packets need. */
  crcTables(off: number): void {
    this.#set(this.#gtx, "GTX_CRC32C", off);
  }

  /** Gives the descriptors of all packets of the work for transmission. */
  sendWork(): void {
    const { u32 } = this.#arena;
    const ring = (this.#memory + TX_RING) >>> 2;
    let place = this.#head(this.#gtx);
    for (let at = 0; at < this.#descriptors.length; at += 4) {
      for (let word = 0; word < 4; word++) u32[ring + 4 * place + word] = this.#descriptors[at + word]!;
      place = (place + 1) % DESCS;
    }
    Atomics.store(this.#arena.i32, this.#doorbells >>> 2, place);
  }

  /** Packets received so far by a receive queue. */
  received(queue: number): number {
    return this.#arena.counter(this.#grx + queue * at("GRX_BYTES") + at("GRX_PACKETS"));
  }

  /** Posts every buffer that there is room for, on each receive queue. */
  postAll(): void {
    const { u32 } = this.#arena;
    for (let queue = 0; queue < this.#rxQueues; queue++) {
      const gq = this.#grx + queue * at("GRX_BYTES");
      const head = this.#head(gq);
      for (let n = 0; n < DESCS - 1; n++) {
        const i = (head + n) % DESCS;
        const desc = (this.#memory + RX_RING + queue * RX_RING_BYTES + 32 * i) >>> 2;
        u32[desc] = IOVA_LOW + RX_BUFFERS + (queue * DESCS + i) * BUFFER;
        u32[desc + 1] = IOVA_HIGH;
        u32[desc + 2] = 0;
        u32[desc + 3] = 0;
      }
      Atomics.store(this.#arena.i32, (this.#doorbells + 4096 * (1 + queue)) >>> 2, (head + DESCS - 1) % DESCS);
    }
  }

  /** Second word of the descriptor and bytes of the nth packet from the end that a receive queue got. */
  last(queue: number, n: number): { hash: number; status: bigint; bytes: Uint8Array } {
    const { u64, u8 } = this.#arena;
    const i = (this.#head(this.#grx + queue * at("GRX_BYTES")) + DESCS - 1 - n) % DESCS;
    const desc = (this.#memory + RX_RING + queue * RX_RING_BYTES + 32 * i) >>> 3;
    const status = u64[desc + 1]!;
    const from = this.#memory + RX_BUFFERS + (queue * DESCS + i) * BUFFER;
    const length = Number(status >> BigInt(at("RX_LENGTH_SHIFT"))) & at("RX_LENGTH_MASK");
    return { hash: Number(u64[desc]! >> 32n), status, bytes: u8.subarray(from, from + length) };
  }

  /** Gives RUN_PACKETS descriptors for transmission, one packet each. */
  send(): void {
    const { u32 } = this.#arena;
    const sizeHigh = this.#packetBytes << (at("TX_BUF_SIZE_SHIFT") - 32);
    const command = TX_COMMAND << at("TX_CMD_SHIFT");
    this.#give(this.#gtx, 0, (i) => {
      const desc = (this.#memory + TX_RING + 16 * i) >>> 2;
      u32[desc] = IOVA_LOW + TX_BUFFERS + i * BUFFER;
      u32[desc + 1] = IOVA_HIGH;
      u32[desc + 2] = command;
      u32[desc + 3] = sizeHigh;
    });
  }

  /** Gives RUN_PACKETS buffers for receiving; `clear` leaves nothing of older packets in them. */
  post(clear: boolean): void {
    const { u32, u8 } = this.#arena;
    this.#give(this.#grx, 1, (i) => {
      const desc = (this.#memory + RX_RING + 32 * i) >>> 2;
      u32[desc] = IOVA_LOW + RX_BUFFERS + i * BUFFER;
      u32[desc + 1] = IOVA_HIGH;
      u32[desc + 2] = 0;
      u32[desc + 3] = 0;
    });
    const buffers = this.#memory + RX_BUFFERS;
    if (clear) u8.fill(0, buffers, buffers + DESCS * BUFFER);
  }

  /** Throws unless the last run has used every descriptor given. */
  checkHeads(sent: boolean, received: boolean): void {
    if (sent) assertDone("guest: transmit head", this.#head(this.#gtx), this.#tail(0));
    if (received) assertDone("guest: receive head", this.#head(this.#grx), this.#tail(1));
  }

  /** Throws unless the last run completed every descriptor sent. */
  checkSent(): void {
    const { u64 } = this.#arena;
    const head = this.#head(this.#gtx);
    for (let back = 1; back <= RUN_PACKETS; back++) {
      const i = (head + DESCS - back) % DESCS;
      const done = Number(u64[(this.#memory + TX_RING + 16 * i + 8) >>> 3]!);
      assertDone(`guest: descriptor ${i}`, done, at("TX_DTYPE_DONE"));
    }
  }

  /** Throws unless the last run filled every posted buffer with a packet, whole and right. */
  checkReceived(whole: (i: number) => Uint8Array): void {
    const { u64, u8 } = this.#arena;
    const head = this.#head(this.#grx);
    for (let n = 0; n < RUN_PACKETS; n++) {
      const i = (head + DESCS - RUN_PACKETS + n) % DESCS;
      const word = u64[(this.#memory + RX_RING + 32 * i + 8) >>> 3]!;
      assertDone(`guest: descriptor ${i}`, Number(word & 3n), at("RX_STATUS_DD") | at("RX_STATUS_EOF"));
      assertDone(`guest: length ${i}`, Number(word >> BigInt(at("RX_LENGTH_SHIFT"))), this.#packetBytes);
      const from = this.#memory + RX_BUFFERS + i * BUFFER;
      const equal = Buffer.compare(u8.subarray(from, from + this.#packetBytes), whole(n));
      assertDone(`guest: packet ${i} differs`, equal, 0);
    }
  }

  /** The packet in a transmit descriptor's buffer, and that of the nth packet of the last run. */
  sent(n: number): Uint8Array {
    const i = (this.#head(this.#gtx) + DESCS - RUN_PACKETS + n) % DESCS;
    const from = this.#memory + TX_BUFFERS + i * BUFFER;
    return this.#arena.u8.subarray(from, from + this.#packetBytes);
  }

  free(arena: { memzoneFree(name: string): void; unmapWindow(off: number): void }): void {
    arena.memzoneFree(ZONE);
    arena.unmapWindow(this.#memory);
  }

  #give(gq: number, doorbell: number, fill: (i: number) => void): void {
    const tail = this.#head(gq);
    for (let n = 0; n < RUN_PACKETS; n++) fill((tail + n) % DESCS);
    Atomics.store(this.#arena.i32, (this.#doorbells + 4096 * doorbell) >>> 2, (tail + RUN_PACKETS) % DESCS);
  }

  #head(gq: number): number {
    return this.#arena.u32[(gq + at("GQ_HEAD")) >>> 2]!;
  }

  #tail(doorbell: number): number {
    return this.#arena.u32[(this.#doorbells + 4096 * doorbell) >>> 2]!;
  }

  #set(state: number, field: string, value: number): void {
    this.#arena.u32[(state + at(field)) >>> 2] = value;
  }
}

const workStride = ({ bytes }: GuestWork): number => Math.ceil(bytes / 2048) * 2048;
const MAC = Uint8Array.of(2, 0, 0, 0, 0, 1);

/** A UDP packet over IPv4 to the guest itself, with bytes that tell it from the others. */
export function packetOf(i: number, bytes: number): Uint8Array {
  const packet = new Uint8Array(bytes);
  packet.set(MAC);
  packet.set([2, 0, 0, 0, 0, 2, 0x08, 0x00, 0x45], 6);
  packet[23] = 17;
  for (let at = 42; at < bytes; at++) packet[at] = (i * 7 + at * 13) & 0xff;
  return packet;
}
