// net_pcap: receives the packets of a file, once or for ever, and writes what is sent to a file. The file to receive is read
// and checked at probe and its packets are laid out in the arena, so a burst only copies. After DPDK's driver of that name.
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import type { DevargsOf, Eal } from "@emudev/eal";
import { type PcapFile, pcapHeader, readPcap } from "@emudev/net";
import {
  KIND_PCAP,
  SQ_BUFFER,
  SQ_BUFFER_BYTES,
  SQ_COUNT,
  SQ_FD,
  SQ_LOOP,
  SQ_NEXT,
  SQ_RECORDS,
} from "../layout/queue.ts";
import { softDriver } from "./driver.ts";
import { SoftEthdevError } from "./errors.ts";
import { SoftPort } from "./soft-port.ts";

const PARAMS = {
  rx_pcap: { type: "path", help: "file whose packets are received" },
  tx_pcap: { type: "path", help: "file that sent packets are written to; it is replaced" },
  infinite_rx: { type: "bool", default: false, help: "1: after the last packet the first follows" },
} as const;

const WRITE_BYTES = 1 << 18;
const RECORD_BYTES = 8;

interface Records {
  zone: string;
  off: number;
  count: number;
}

function load(eal: Eal, name: string, path: string): Records {
  const { packets } = readFile(path);
  const data = packets.reduce((bytes, packet) => bytes + packet.data.length, 0);
  const zone = eal.arena.memzoneReserve(`${name}.packets`, RECORD_BYTES * packets.length + data + 16);
  let at = zone.off + RECORD_BYTES * packets.length;
  packets.forEach((packet, i) => {
    eal.arena.u32[(zone.off >>> 2) + 2 * i] = at;
    eal.arena.u32[(zone.off >>> 2) + 2 * i + 1] = packet.data.length;
    eal.arena.u8.set(packet.data, at);
    at += packet.data.length;
  });
  return { zone: zone.name, off: zone.off, count: packets.length };
}

function readFile(path: string): PcapFile {
  try {
    return readPcap(readFileSync(path));
  } catch (cause) {
    throw new SoftEthdevError("DEVARGS", `rx_pcap=${path}: ${(cause as Error).message}`, { cause });
  }
}

function create(path: string): number {
  try {
    const fd = openSync(path, "w");
    writeSync(fd, pcapHeader());
    return fd;
  } catch (cause) {
    throw new SoftEthdevError("DEVARGS", `tx_pcap=${path}: ${(cause as Error).message}`, { cause });
  }
}

export const pcapDriver = softDriver(
  "net_pcap",
  PARAMS,
  (vdev, eal) => {
    const { rx_pcap, tx_pcap, infinite_rx } = vdev.params as DevargsOf<typeof PARAMS>;
    if (rx_pcap === undefined && tx_pcap === undefined)
      throw new SoftEthdevError("DEVARGS", "rx_pcap= or tx_pcap= is needed; without either the port would do nothing");
    const { arena } = eal;
    const records = rx_pcap === undefined ? null : load(eal, vdev.name, rx_pcap);
    let fd = -1;
    try {
      if (tx_pcap !== undefined) fd = create(tx_pcap);
    } catch (error) {
      if (records !== null) arena.memzoneFree(records.zone);
      throw error;
    }
    const buffer = arena.memzoneReserve(`${vdev.name}.write`, WRITE_BYTES);
    const port = new SoftPort(eal, vdev.name, {
      driverName: "net_pcap",
      kind: KIND_PCAP,
      queues: 1,
      speedMbps: 10_000,
      maxFrame: 65_535,
      setUp(_side, _queue, off) {
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
      },
      closed() {
        if (fd >= 0) closeSync(fd);
        if (records !== null) arena.memzoneFree(records.zone);
        arena.memzoneFree(buffer.name);
      },
    });
    return { port };
  },
  ["eth_pcap"],
);
