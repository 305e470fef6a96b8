// Modes mac and macswap: only the two addresses of the Ethernet header change.
import { data } from "../../../packages/shm/assembly/mbuf";
import { MBUF_DATA_LEN } from "../../../packages/shm/src/layout/mbuf";

const ADDRESSES: u32 = 12;

/** Writes the 12 bytes at `macs`, destination and source, into each packet. */
export function fwd_mac(pkts: u32, n: u32, macs: u32): void {
  const low = load<u64>(macs);
  const high = load<u32>(macs, 8);
  const end = pkts + (n << 2);
  for (let at = pkts; at < end; at += 4) {
    const mbuf = load<u32>(at);
    if (<u32>load<u16>(mbuf, MBUF_DATA_LEN) < ADDRESSES) continue;
    const to = data(mbuf);
    store<u64>(to, low);
    store<u32>(to, high, 8);
  }
}

/** Swaps destination and source in each packet. */
export function fwd_macswap(pkts: u32, n: u32): void {
  const end = pkts + (n << 2);
  for (let at = pkts; at < end; at += 4) {
    const mbuf = load<u32>(at);
    if (<u32>load<u16>(mbuf, MBUF_DATA_LEN) >= ADDRESSES) swap(data(mbuf));
  }
}

// @ts-ignore: decorator
@inline
function swap(to: u32): void {
  const low = load<u64>(to);
  const high = load<u32>(to, 8);
  const source = (low >> 48) | ((<u64>high) << 16);
  store<u64>(to, source | (low << 48));
  store<u32>(to, <u32>(low >> 16), 8);
}
