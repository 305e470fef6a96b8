// What `set verbose` prints of a packet: dump_pkt_burst of DPDK's testpmd, from a record of an lcore's trace
// (layout/trace.ts).
import {
  MBUF_NB_SEGS,
  MBUF_OL_RX,
  MBUF_PKT_LEN,
  MBUF_RSS,
  MBUF_VLAN_TCI,
  RX_RSS_HASH,
  RX_VLAN_STRIPPED,
} from "@emudev/shm";
import { RECORD_BURST, RECORD_FRAME, RECORD_MBUF, RECORD_PORT, RECORD_QUEUE, RECORD_SENT } from "../layout/trace.ts";
import { formatMac } from "./format.ts";

/** One or two lines: a headline before the first packet of a burst, and the packet. */
export function packetLines(record: Uint8Array): string {
  const view = new DataView(record.buffer, record.byteOffset, record.byteLength);
  const u16 = (at: number): number => view.getUint16(at, true);
  const mbuf = (at: number): number => RECORD_MBUF + at;
  const flags = view.getUint32(mbuf(MBUF_OL_RX), true);
  const burst = u16(RECORD_BURST);
  const verb = u16(RECORD_SENT) === 1 ? "sent" : "received";
  const head = burst === 0 ? "" : `port ${u16(RECORD_PORT)}/queue ${u16(RECORD_QUEUE)}: ${verb} ${burst} packets\n`;
  const parts = [
    `src=${formatMac(record.subarray(RECORD_FRAME + 6, RECORD_FRAME + 12))}`,
    `dst=${formatMac(record.subarray(RECORD_FRAME, RECORD_FRAME + 6))}`,
    "pool=mb_pool_0",
    `type=0x${view
      .getUint16(RECORD_FRAME + 12)
      .toString(16)
      .padStart(4, "0")}`,
    `length=${view.getUint32(mbuf(MBUF_PKT_LEN), true)}`,
    `nb_segs=${u16(mbuf(MBUF_NB_SEGS))}`,
  ];
  if (flags & RX_RSS_HASH) {
    const hash = view.getUint32(mbuf(MBUF_RSS), true);
    parts.push(`RSS hash=0x${hash.toString(16)}`, `RSS queue=0x${u16(RECORD_QUEUE).toString(16)}`);
  }
  if (flags & RX_VLAN_STRIPPED) parts.push(`VLAN tci=0x${u16(mbuf(MBUF_VLAN_TCI)).toString(16)}`);
  return `${head}  ${parts.join(" - ")}\n`;
}
