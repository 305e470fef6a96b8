// net_pcap: receives the packets of a file, once or for ever, and writes what is sent to a file. The file to receive is
// read and checked at probe and its packets are laid out in the arena, so a burst only copies. After DPDK's driver of
// that name.
import { closeSync, constants, fstatSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import type { DevargsOf, Eal } from "@emudev/eal";
import { LINKTYPE_ETHERNET, PCAP_HEADER_SIZE, type PcapPacket, pcapHeader, readPcap } from "@emudev/net";
import {
  KIND_PCAP,
  SQ_BUFFER,
  SQ_BUFFER_BYTES,
  SQ_COUNT,
  SQ_FAILED,
  SQ_FD,
  SQ_GOOD,
  SQ_LOOP,
  SQ_NEXT,
  SQ_RECORDS,
} from "../layout/queue.ts";
import { softDriver } from "./driver.ts";
import { SoftEthdevError } from "./errors.ts";
import type { Held } from "./held.ts";
import { SoftPort } from "./soft-port.ts";

const PARAMS = {
  rx_pcap: { type: "path", help: "file whose packets are received" },
  tx_pcap: { type: "path", help: "file that sent packets are written to; it is replaced" },
  infinite_rx: { type: "bool", default: false, help: "1: after the last packet the first follows" },
} as const;

const WRITE_BYTES = 1 << 18;
const RECORD_BYTES = 8;

interface Records {
  off: number;
  count: number;
}

/** Lays the packets of a file out in the arena: pairs of offset and length, then the bytes. */
function load(eal: Eal, name: string, path: string, held: Held): Records {
  const packets = readFile(path);
  const data = packets.reduce((bytes, packet) => bytes + packet.data.length, 0);
  const zone = eal.arena.memzoneReserve(`${name}.packets`, RECORD_BYTES * packets.length + data + 16);
  held.push(() => eal.arena.memzoneFree(zone.name));
  let at = zone.off + RECORD_BYTES * packets.length;
  packets.forEach((packet, i) => {
    eal.arena.u32[(zone.off >>> 2) + 2 * i] = at;
    eal.arena.u32[(zone.off >>> 2) + 2 * i + 1] = packet.data.length;
    eal.arena.u8.set(packet.data, at);
    at += packet.data.length;
  });
  return { off: zone.off, count: packets.length };
}

function readFile(path: string): PcapPacket[] {
  let fd = -1;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK); // a FIFO would make the open wait
    if (!fstatSync(fd).isFile()) throw new Error("it is not a regular file, and has to be read whole");
    const { linkType, packets } = readPcap(readFileSync(fd));
    if (linkType !== LINKTYPE_ETHERNET)
      throw new Error(`its link type is ${linkType}; Ethernet is ${LINKTYPE_ETHERNET}`);
    const empty = packets.findIndex(({ data }) => data.length === 0);
    if (empty >= 0) throw new Error(`packet ${empty} has no bytes`);
    return packets;
  } catch (cause) {
    throw new SoftEthdevError("DEVARGS", `rx_pcap=${path}: ${(cause as Error).message}`, { cause });
  } finally {
    if (fd >= 0) closeSync(fd);
  }
}

/** Opened for appending, so that what is written after a torn end was cut off follows it directly. */
function create(path: string, held: Held): number {
  const { O_WRONLY, O_CREAT, O_TRUNC, O_APPEND, O_NONBLOCK } = constants;
  try {
    const fd = openSync(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NONBLOCK, 0o644);
    held.push(() => closeSync(fd));
    writeSync(fd, pcapHeader());
    return fd;
  } catch (cause) {
    throw new SoftEthdevError("DEVARGS", `tx_pcap=${path}: ${(cause as Error).message}`, { cause });
  }
}

export const pcapDriver = softDriver(
  "net_pcap",
  PARAMS,
  (vdev, eal, held) => {
    const { rx_pcap, tx_pcap, infinite_rx } = vdev.params as DevargsOf<typeof PARAMS>;
    if (rx_pcap === undefined && tx_pcap === undefined)
      throw new SoftEthdevError("DEVARGS", "rx_pcap= or tx_pcap= is needed; without either the port would do nothing");
    const { arena } = eal;
    const records = rx_pcap === undefined ? null : load(eal, vdev.name, rx_pcap, held);
    const fd = tx_pcap === undefined ? -1 : create(tx_pcap, held);
    const buffer = arena.memzoneReserve(`${vdev.name}.write`, WRITE_BYTES);
    held.push(() => arena.memzoneFree(buffer.name));
    const port: SoftPort = new SoftPort(eal, vdev.name, held, {
      driverName: "net_pcap",
      kind: KIND_PCAP,
      queues: 1,
      speedMbps: 10_000,
      maxFrame: 65_535,
      setUp(side, _queue, off) {
        const put = (field: number, value: number) => {
          arena.i32[(off + field) >>> 2] = value;
        };
        put(SQ_RECORDS, records?.off ?? 0);
        put(SQ_COUNT, records?.count ?? 0);
        put(SQ_NEXT, 0);
        put(SQ_LOOP, infinite_rx ? 1 : 0);
        put(SQ_FD, fd);
        put(SQ_BUFFER, buffer.off);
        put(SQ_BUFFER_BYTES, WRITE_BYTES);
        // The file goes on where it is when the queue is set up again.
        if (side === "tx" && arena.f64[(off + SQ_GOOD) >>> 3] === 0)
          arena.f64[(off + SQ_GOOD) >>> 3] = PCAP_HEADER_SIZE;
      },
      stopped() {
        const off = port.txQueueOff(0);
        if (arena.u32[(off + SQ_FAILED) >>> 2] === 0) return;
        arena.u32[(off + SQ_FAILED) >>> 2] = 0;
        const good = arena.f64[(off + SQ_GOOD) >>> 3]!;
        if (fstatSync(fd).isFile()) ftruncateSync(fd, good);
        eal.log.warning(`${vdev.name}: writing to ${tx_pcap} failed; what it took whole has been kept, ${good} bytes`);
      },
    });
    return { port };
  },
  ["eth_pcap"],
);
