// One packet of the guest that is not the plain case: several descriptors, context descriptors, offloads, jumbo frames, and
// everything malformed. Descriptors are copied before they are looked at, since the guest can change them at any time; a
// packet is taken only when all its descriptors are there. Called by guest-tx.ts.
import { MBUF_DATA_LEN, MBUF_DATA_OFF, MBUF_OL_RX } from "../../shm/src/layout/mbuf";
import {
  TX_BUF_SIZE_MASK,
  TX_BUF_SIZE_SHIFT,
  TX_CMD_DUMMY,
  TX_CMD_EOP,
  TX_CMD_IIPT_MASK,
  TX_CMD_IL2TAG1,
  TX_CMD_L4T_MASK,
  TX_CMD_MASK,
  TX_CMD_SHIFT,
  TX_CTX_CMD_IL2TAG2,
  TX_CTX_CMD_MASK,
  TX_CTX_CMD_SHIFT,
  TX_CTX_CMD_TSO,
  TX_CTX_EIPT_MASK,
  TX_CTX_L2TAG2,
  TX_CTX_L4TUNT_MASK,
  TX_CTX_L4TUNT_SHIFT,
  TX_CTX_MSS_MASK,
  TX_CTX_MSS_SHIFT,
  TX_CTX_TSO_LEN_MASK,
  TX_CTX_TSO_LEN_SHIFT,
  TX_DTYPE_CONTEXT,
  TX_DTYPE_DATA,
  TX_DTYPE_MASK,
  TX_L2TAG1_SHIFT,
  TX_OFFSET_MASK,
  TX_OFFSET_SHIFT,
} from "../../avf/src/layout/tx-desc";
import { copy } from "../../shm/assembly/copy";
import { data } from "../../shm/assembly/mbuf";
import { xlat } from "../../emudev/assembly/mem-table";
import { MEM_INDIRECT, MEM_PROT_READ } from "../../emudev/src/layout/mem-table";
import {
  FRAME_MAX,
  FRAME_MIN,
  GQ_SIZE,
  GQ_WANT_BOUNCE,
  GTX_BAD_ADDRESS,
  GTX_BAD_CONTEXT,
  GTX_BAD_LENGTH,
  GTX_BAD_OFFLOAD,
  GTX_BAD_TSO,
  GTX_BAD_TYPE,
  GTX_CHECKSUM,
  GTX_CRC32C,
  GTX_DESCS,
  GTX_LINEAR,
  GTX_LINEAR_MAX,
  GTX_NO_EOP,
  GTX_PACKET_DESCS_MAX,
  GTX_SCRATCH,
  GTX_SKIP,
  GTX_TSO,
  GTX_TSO_DESCS_MAX,
} from "../src/layout/guest-queue";
import { RXQ_ROOM } from "../src/layout/port-queue";
import { copySum } from "./checksum";
import { count } from "./count";
import { emit, finish } from "./emit";
import { finishChecksums, insertTag, needsSum, OFFLOAD_BAD } from "./offload";
import { tsoBegin } from "./tso";

// What takePacket answers: descriptors consumed in the low half, and
export const TOOK_PACKET: u32 = 1 << 16; // a packet is in the mbuf
export const TOOK_TSO: u32 = 1 << 17; // a packet lies in scratch memory, to be segmented
export const NO_MBUF: u32 = 1 << 18; // nothing consumed: no mbuf for the rest of the packet

/** What the last call is worth of a burst when it took nothing: 1, and more for many descriptors or bytes looked at. */
export let wasted: u32 = 0;

const TAG_ROOM: u32 = 8;
const WASTED_DESCS_SHIFT: u32 = 5;
const WASTED_BYTES_SHIFT: u32 = 11;

// The packet at hand, as scan() found it. Set anew for each packet before it is read.
let descs: u32 = 0; // descriptors
let bytes: u32 = 0; // of all buffers
let context: u64 = 0; // second word of the context descriptor, 0 = none
let tag2: u32 = 0; // L2TAG2 of it
let gatheredSum: u32 = 0; // of all bytes, as gatherSummed() left it
let fault: u32 = 0; // the counter of what is wrong, 0 = nothing

/**
 * Takes the packet whose first descriptor is `head`.
 * @param avail descriptors that the guest has given
 * @param mbuf an empty mbuf of the queue's pool
 * @returns see above; 0 = the packet is not complete yet, or its memory is not mapped
 */
export function takePacket(q: u32, gq: u32, table: u32, ring: u32, head: u32, avail: u32, mbuf: u32, lcore: u32): u32 {
  wasted = 1;
  if (load<u32>(gq, GTX_SKIP)) return skip(gq, ring, head, avail, 0);
  if (!scan(gq, ring, head, avail)) return 0;
  if (fault == GTX_NO_EOP || fault == GTX_BAD_TYPE) {
    count(gq, fault, 1);
    // An unknown descriptor before any data stands alone; otherwise the rest of the packet is dropped too.
    return fault == GTX_BAD_TYPE && bytes == 0 ? descs : skip(gq, ring, head, avail, descs);
  }
  const tso = (<u32>(context >> TX_CTX_CMD_SHIFT) & TX_CTX_CMD_TSO) != 0;
  const last = load<u32>(gq, GTX_SCRATCH) + GTX_DESCS + ((descs - 1) << 4);
  const command = load<u64>(last, 8);
  const cmd = <u32>(command >> TX_CMD_SHIFT) & TX_CMD_MASK;
  if (cmd & TX_CMD_DUMMY) return descs;
  if (!fault && !lengthFits(tso)) fault = GTX_BAD_LENGTH;
  if (fault) {
    count(gq, fault, 1);
    return descs;
  }
  const linear = tso || bytes + TAG_ROOM > load<u32>(q, RXQ_ROOM);
  let p = linear ? load<u32>(gq, GTX_SCRATCH) + GTX_LINEAR : data(mbuf);
  const summing = !tso && needsSum(cmd);
  const gathered = summing ? gatherSummed(gq, table, p) : gather(gq, table, p);
  if (gathered == MEM_INDIRECT) {
    atomic.store<u32>(gq, 1, GQ_WANT_BOUNCE);
    return 0;
  }
  if (!gathered) {
    count(gq, GTX_BAD_ADDRESS, 1);
    return descs;
  }
  wasted = 1 + (bytes >>> WASTED_BYTES_SHIFT);
  const offsets = <u32>(command >> TX_OFFSET_SHIFT) & TX_OFFSET_MASK;
  const before = p;
  let flags: u32 = 0;
  if (!tso && cmd & (TX_CMD_IIPT_MASK | TX_CMD_L4T_MASK)) {
    flags = finishChecksums(p, bytes, gatheredSum, cmd, offsets, load<u32>(gq, GTX_CRC32C));
    if (flags == OFFLOAD_BAD) {
      count(gq, GTX_BAD_OFFLOAD, 1);
      return descs;
    }
    count(gq, GTX_CHECKSUM, 1);
  }
  if (cmd & TX_CMD_IL2TAG1) p = insertTag(p, <u32>(command >> TX_L2TAG1_SHIFT));
  if (<u32>(context >> TX_CTX_CMD_SHIFT) & TX_CTX_CMD_IL2TAG2) p = insertTag(p, tag2);
  const total = bytes + (before - p);
  if (tso) {
    const mss = <u32>(context >> TX_CTX_MSS_SHIFT) & TX_CTX_MSS_MASK;
    const payload = <u32>(context >> TX_CTX_TSO_LEN_SHIFT) & TX_CTX_TSO_LEN_MASK;
    const begun = tsoBegin(gq, p, total, before - p, cmd, offsets, mss, payload);
    count(gq, begun ? GTX_TSO : GTX_BAD_TSO, 1);
    return begun ? descs | TOOK_TSO : descs;
  }
  if (linear) {
    if (!emit(q, mbuf, p, total, lcore)) return NO_MBUF;
  } else {
    store<u16>(mbuf, <u16>(<u32>load<u16>(mbuf, MBUF_DATA_OFF) - (before - p)), MBUF_DATA_OFF);
    store<u16>(mbuf, <u16>total, MBUF_DATA_LEN);
    finish(q, mbuf, total);
  }
  store<u32>(mbuf, flags, MBUF_OL_RX);
  return descs | TOOK_PACKET;
}

// @ts-ignore: decorator
@inline
function lengthFits(tso: bool): bool {
  return bytes >= <u32>FRAME_MIN && bytes <= <u32>(tso ? GTX_LINEAR_MAX : FRAME_MAX);
}

/** Copies the descriptors of a packet and sums them up; false when its end is not there yet. */
function scan(gq: u32, ring: u32, head: u32, avail: u32): bool {
  const size = load<u32>(gq, GQ_SIZE);
  let to = load<u32>(gq, GTX_SCRATCH) + GTX_DESCS;
  let limit: u32 = GTX_PACKET_DESCS_MAX;
  let buffers: u32 = 0;
  descs = bytes = fault = tag2 = 0;
  context = 0;
  while (descs < avail) {
    const desc = ring + (head << 4);
    const address = load<u64>(desc);
    const command = load<u64>(desc, 8);
    store<u64>(to, address);
    store<u64>(to, command, 8);
    to += 16;
    descs++;
    if (++head == size) head = 0;
    const type = <u32>command & TX_DTYPE_MASK;
    if (type == TX_DTYPE_CONTEXT) {
      if (buffers || context) note(GTX_BAD_CONTEXT);
      context = command;
      tag2 = <u32>(address >> (TX_CTX_L2TAG2 << 3)) & 0xffff;
      if (isTunnel(address)) note(GTX_BAD_CONTEXT);
      if (<u32>(command >> TX_CTX_CMD_SHIFT) & TX_CTX_CMD_MASK & TX_CTX_CMD_TSO) limit = GTX_TSO_DESCS_MAX;
    } else if (type == TX_DTYPE_DATA) {
      const run = <u32>(command >> TX_BUF_SIZE_SHIFT) & TX_BUF_SIZE_MASK;
      if (run == 0) note(GTX_BAD_LENGTH);
      bytes += run;
      buffers++;
      if (<u32>(command >> TX_CMD_SHIFT) & TX_CMD_EOP) return true;
    } else {
      fault = GTX_BAD_TYPE;
      return true;
    }
    if (buffers > limit || descs > limit + 1) {
      fault = GTX_NO_EOP;
      return true;
    }
  }
  return false;
}

// @ts-ignore: decorator
@inline
function note(counter: u32): void {
  if (!fault) fault = counter;
}

// @ts-ignore: decorator
@inline
function isTunnel(address: u64): bool {
  const tunnel = <u32>address;
  return (tunnel & (TX_CTX_EIPT_MASK | (TX_CTX_L4TUNT_MASK << TX_CTX_L4TUNT_SHIFT))) != 0;
}

/** Copies the packet's buffers to `to`, one behind the other: 1-valued MEM_INDIRECT, 0 for a bad address, else another value. */
function gather(gq: u32, table: u32, to: u32): u32 {
  const first = load<u32>(gq, GTX_SCRATCH) + GTX_DESCS;
  const end = first + (descs << 4);
  for (let desc = first; desc < end; desc += 16) {
    const command = load<u64>(desc, 8);
    if ((<u32>command & TX_DTYPE_MASK) != TX_DTYPE_DATA) continue;
    const run = <u32>(command >> TX_BUF_SIZE_SHIFT) & TX_BUF_SIZE_MASK;
    const from = xlat(table, load<u64>(desc), run, MEM_PROT_READ);
    if (from <= <u32>MEM_INDIRECT) return from;
    copy(to, from, run);
    to += run;
  }
  return to;
}

/** gather() that sums the packet up on the way, into gatheredSum. */
function gatherSummed(gq: u32, table: u32, to: u32): u32 {
  const first = load<u32>(gq, GTX_SCRATCH) + GTX_DESCS;
  const end = first + (descs << 4);
  const start = to;
  gatheredSum = 0;
  for (let desc = first; desc < end; desc += 16) {
    const command = load<u64>(desc, 8);
    if ((<u32>command & TX_DTYPE_MASK) != TX_DTYPE_DATA) continue;
    const run = <u32>(command >> TX_BUF_SIZE_SHIFT) & TX_BUF_SIZE_MASK;
    const from = xlat(table, load<u64>(desc), run, MEM_PROT_READ);
    if (from <= <u32>MEM_INDIRECT) return from;
    gatheredSum += copySum(to, from, run, (to - start) & 1);
    to += run;
  }
  return to;
}

/** Drops descriptors from the `done`th on up to the end of a packet; where that is not there yet, the next call goes on. */
function skip(gq: u32, ring: u32, head: u32, avail: u32, done: u32): u32 {
  const size = load<u32>(gq, GQ_SIZE);
  let at = head + done;
  if (at >= size) at -= size;
  store<u32>(gq, 1, GTX_SKIP);
  while (done < avail) {
    const command = load<u64>(ring + (at << 4), 8);
    done++;
    if (++at == size) at = 0;
    if ((<u32>command & TX_DTYPE_MASK) != TX_DTYPE_DATA) continue;
    if (!(<u32>(command >> TX_CMD_SHIFT) & TX_CMD_EOP)) continue;
    store<u32>(gq, 0, GTX_SKIP);
    break;
  }
  wasted = 1 + (done >>> WASTED_DESCS_SHIFT);
  return done;
}
