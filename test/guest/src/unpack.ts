// Decompression of what Debian's kernel packages hold: xz and zstd, for the kernel image and its modules, and the way from a
// bzImage to the vmlinux inside it (kernel documentation: arch/x86/boot, fields payload_offset and payload_length).
// Node 20 has neither format, so the machine's own tools, or the fetched busybox, do the work.
import { spawnSync } from "node:child_process";
import * as zlib from "node:zlib";

const MAGIC = { zstd: [0x28, 0xb5, 0x2f, 0xfd], xz: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0], elf: [0x7f, 0x45, 0x4c, 0x46] };
const startsWith = (data: Uint8Array, magic: readonly number[]): boolean => magic.every((byte, i) => data[i] === byte);

/** Decompressed data, the data itself when it is not compressed, or null when no tool on this machine can. */
export function decompress(data: Uint8Array, busybox?: string): Buffer | null {
  if (startsWith(data, MAGIC.zstd)) {
    const own = (zlib as { zstdDecompressSync?: (data: Uint8Array) => Buffer }).zstdDecompressSync; // Node >= 22.15
    return own !== undefined ? own(data) : filter(data, [["zstd", "-dcq"]]);
  }
  if (startsWith(data, MAGIC.xz)) {
    const tools = [["xz", "-dcq"]];
    if (busybox !== undefined) tools.push([busybox, "unxz", "-c"]);
    return filter(data, tools);
  }
  return Buffer.from(data);
}

/** The ELF kernel inside a bzImage (it starts about 1 s sooner under TCG), or null when it cannot be unpacked here. */
export function vmlinuxOf(bzImage: Uint8Array, busybox?: string): Buffer | null {
  const view = new DataView(bzImage.buffer, bzImage.byteOffset, bzImage.byteLength);
  if (bzImage.length < 0x260 || view.getUint32(0x202, true) !== 0x53726448) return null; // "HdrS"
  const setupSectors = bzImage[0x1f1] || 4;
  const start = (setupSectors + 1) * 512 + view.getUint32(0x248, true);
  const length = view.getUint32(0x24c, true);
  // the last four bytes of the payload are its unpacked size, appended by the kernel's build
  const unpacked = decompress(bzImage.subarray(start, start + length - 4), busybox);
  return unpacked !== null && startsWith(unpacked, MAGIC.elf) ? unpacked : null;
}

function filter(data: Uint8Array, tools: readonly (readonly string[])[]): Buffer | null {
  for (const [command, ...args] of tools) {
    const done = spawnSync(command!, args, { input: data, maxBuffer: 1 << 28, stdio: ["pipe", "pipe", "ignore"] });
    if (done.status === 0 && done.stdout.length > 0) return done.stdout;
  }
  return null;
}
