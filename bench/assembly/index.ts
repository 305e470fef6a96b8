// Header work of net_avfbe's kernels over and over, for the benches of it (src/micro/header.ts): what one packet takes is too
// little for a call from JavaScript. Packets lie `stride` bytes apart, 64 of them, so that they stay in the first-level cache
// as those of a burst do. Each returns the sum of what it computed, so that nothing is left out.
import { copySum, crc32, fold, wordSum } from "../../packages/avfbe-ethdev/assembly/checksum";
import { hashMark } from "../../packages/avfbe-ethdev/assembly/toeplitz";

const PACKETS: u32 = 64;

export function header_sum(from: u32, to: u32, n: u32, bytes: u32, stride: u32, table: u32): u32 {
  let all: u32 = 0;
  for (let i: u32 = 0; i < n; i++) all += fold(wordSum(from + (i & (PACKETS - 1)) * stride, bytes));
  return all;
}

/** @param table its lowest bit: the bytes begin at an odd offset of what is summed */
export function header_copy_sum(from: u32, to: u32, n: u32, bytes: u32, stride: u32, table: u32): u32 {
  let all: u32 = 0;
  for (let i: u32 = 0; i < n; i++) {
    const at = (i & (PACKETS - 1)) * stride;
    all += fold(copySum(to + at, from + at, bytes, table & 1));
  }
  return all;
}

export function header_crc32c(from: u32, to: u32, n: u32, bytes: u32, stride: u32, table: u32): u32 {
  let all: u32 = 0;
  for (let i: u32 = 0; i < n; i++) all += ~crc32(table, 0xffffffff, from + (i & (PACKETS - 1)) * stride, bytes);
  return all;
}

/** @param from u32[64]: mbufs */
export function header_toeplitz(from: u32, to: u32, n: u32, bytes: u32, stride: u32, table: u32): u32 {
  let all: u32 = 0;
  for (let i: u32 = 0; i < n; i++) all += <u32>(hashMark(table, load<u32>(from + ((i & (PACKETS - 1)) << 2))) >> 32);
  return all;
}
