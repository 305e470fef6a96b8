// The demo's packet: Ethernet, IPv4 and UDP to the discard port, from the benchmark network 198.18.0.0/15 (RFC 2544), zeros
// behind. It is written into every buffer of the sender's pool before the first is sent.
import { MBUF_HEADROOM, MBUF_SIZE, type Mempool } from "@emudev/shm";

const ETH = 14;
const IP = 20;
const UDP = 8;

/**
 * The packet's bytes, without CRC.
 * @param bytes 60 or more
 */
export function makeFrame(bytes: number, to: Uint8Array, from: Uint8Array): Uint8Array {
  const frame = new Uint8Array(bytes);
  const view = new DataView(frame.buffer);
  frame.set(to, 0);
  frame.set(from, 6);
  view.setUint16(12, 0x0800);
  view.setUint8(ETH, 0x45);
  view.setUint16(ETH + 2, bytes - ETH);
  view.setUint8(ETH + 8, 64);
  view.setUint8(ETH + 9, 17);
  view.setUint32(ETH + 12, 0xc6120001);
  view.setUint32(ETH + 16, 0xc6120002);
  view.setUint16(ETH + 10, checksum(view, ETH, IP));
  view.setUint16(ETH + IP, 9);
  view.setUint16(ETH + IP + 2, 9);
  view.setUint16(ETH + IP + 4, bytes - ETH - IP);
  if (bytes < ETH + IP + UDP) throw new RangeError(`a packet of ${bytes} bytes has no room for its headers`);
  return frame;
}

/** Writes the frame where the data of every mbuf of the pool begins. */
export function fillPool(pool: Mempool, frame: Uint8Array): void {
  const { off } = pool.objs;
  for (let i = 0; i < pool.size; i++) pool.arena.u8.set(frame, off + i * pool.eltSize + MBUF_SIZE + MBUF_HEADROOM);
}

function checksum(view: DataView, at: number, bytes: number): number {
  let sum = 0;
  for (let i = 0; i < bytes; i += 2) sum += view.getUint16(at + i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
