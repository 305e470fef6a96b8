// Mode icmpecho: answers ARP requests and ICMP echo requests over IPv4, tagged or not, in place, and frees everything else.
// Every length and offset comes from the packet, so each is checked against what its first segment holds; the headers are
// read once. Multicast destinations are answered from a class A address, as DPDK's icmpecho does.
import { data, free } from "../../../packages/shm/assembly/mbuf";
import { MBUF_DATA_LEN } from "../../../packages/shm/src/layout/mbuf";

// Words as little-endian loads give them.
const ETHER_ARP: u32 = 0x0608;
const ETHER_IPV4: u32 = 0x0008;
const ETHER_VLAN: u32 = 0x0081;
const ETHER_QINQ: u32 = 0xa888;
const ARP_ETHER_IPV4: u64 = 0x0100040600080100; // hardware 1, protocol 0x0800, lengths 6 and 4, request
const ARP_REPLY: u16 = 0x0200;
const ARP_BYTES: u32 = 28;
const ICMP_BYTES: u32 = 8;
const ICMP: u32 = 1;
const ECHO_REQUEST: u32 = 8; // type 8, code 0
const FRAGMENT: u32 = 0xffbf; // all of the field but "don't fragment": a fragment's answer could not be put together

/**
 * Answers what can be answered.
 * @param mac the port's address, 6 bytes
 * @returns the number of answers, which are moved to the front of the array; the other packets were freed
 */
export function fwd_icmpecho(lcore: u32, pkts: u32, n: u32, mac: u32): u32 {
  let kept: u32 = 0;
  const end = pkts + (n << 2);
  for (let at = pkts; at < end; at += 4) {
    const mbuf = load<u32>(at);
    if (answer(data(mbuf), <u32>load<u16>(mbuf, MBUF_DATA_LEN), mac)) {
      store<u32>(pkts + (kept << 2), mbuf);
      kept++;
    } else {
      free(lcore, mbuf);
    }
  }
  return kept;
}

function answer(frame: u32, bytes: u32, mac: u32): bool {
  if (bytes < 14) return false;
  let type = <u32>load<u16>(frame, 12);
  let head: u32 = 14;
  for (let tags = 0; tags < 2 && (type == ETHER_VLAN || type == ETHER_QINQ); tags++) {
    if (bytes < head + 4) return false;
    type = <u32>load<u16>(frame + head, 2);
    head += 4;
  }
  if (type == ETHER_ARP) return answerArp(frame, frame + head, bytes - head, mac);
  if (type == ETHER_IPV4) return answerEcho(frame, frame + head, bytes - head);
  return false;
}

function answerArp(frame: u32, arp: u32, bytes: u32, mac: u32): bool {
  if (bytes < ARP_BYTES || load<u64>(arp) != ARP_ETHER_IPV4) return false;
  const low = load<u32>(mac);
  const high = load<u16>(mac, 4);
  const senderLow = load<u32>(arp, 8);
  const senderHigh = load<u16>(arp, 12);
  const senderIp = load<u32>(arp, 14);
  store<u32>(frame, senderLow);
  store<u16>(frame, senderHigh, 4);
  store<u32>(frame, low, 6);
  store<u16>(frame, high, 10);
  store<u16>(arp, ARP_REPLY, 6);
  store<u32>(arp, low, 8);
  store<u16>(arp, high, 12);
  store<u32>(arp, load<u32>(arp, 24), 14);
  store<u32>(arp, senderLow, 18);
  store<u16>(arp, senderHigh, 22);
  store<u32>(arp, senderIp, 24);
  return true;
}

function answerEcho(frame: u32, ip: u32, bytes: u32): bool {
  if (bytes < 20) return false;
  const version = <u32>load<u8>(ip);
  const head = (version & 15) << 2;
  if (version >> 4 != 4 || head < 20 || bytes < head + ICMP_BYTES) return false;
  if (<u32>load<u8>(ip, 9) != ICMP) return false;
  if ((<u32>load<u16>(ip, 6) & FRAGMENT) != 0) return false;
  const icmp = ip + head;
  if (<u32>load<u16>(icmp) != ECHO_REQUEST) return false;
  const source = load<u32>(ip, 12);
  const target = load<u32>(ip, 16);
  if ((source & 0xf0) == 0xe0) return false;
  swapAddresses(frame);
  // A multicast address cannot be a source: 10.0.0.1, and the header's checksum follows.
  const from: u32 = (target & 0xf0) == 0xe0 ? 0x0100000a : target;
  store<u32>(ip, from, 12);
  store<u32>(ip, source, 16);
  if (from != target) store<u16>(ip, replaced(<u32>load<u16>(ip, 10), target, from), 10);
  store<u8>(icmp, 0);
  store<u16>(icmp, replaced(<u32>load<u16>(icmp, 2), ECHO_REQUEST, 0), 2);
  return true;
}

function swapAddresses(frame: u32): void {
  const low = load<u32>(frame);
  const high = load<u16>(frame, 4);
  store<u32>(frame, load<u32>(frame, 6));
  store<u16>(frame, load<u16>(frame, 10), 4);
  store<u32>(frame, low, 6);
  store<u16>(frame, high, 10);
}

/** An Internet checksum after one word became another (RFC 1624, equation 3). */
function replaced(checksum: u32, before: u32, after: u32): u16 {
  let sum: u32 = ~checksum & 0xffff;
  sum += (~before & 0xffff) + ((~before >> 16) & 0xffff);
  sum += (after & 0xffff) + (after >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return <u16>~sum;
}
