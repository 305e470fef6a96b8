// Writer of the "newc" cpio format, the one that the Linux kernel unpacks as its initial RAM file system (kernel
// documentation: driver-api/early-userspace/buffer-format). initrd.ts is its only caller.

export interface CpioEntry {
  /** Path without a leading slash. */
  name: string;
  /** File type and permissions as in stat(2), for example 0o100755. */
  mode: number;
  data?: Uint8Array;
  /** Device number of a character or block device. */
  device?: { major: number; minor: number };
}

const pad4 = (bytes: number): number => (4 - (bytes % 4)) % 4;

/** Encodes the entries, in their order, with the closing trailer. */
export function encodeCpio(entries: readonly CpioEntry[]): Buffer {
  const parts: Buffer[] = [];
  [...entries, { name: "TRAILER!!!", mode: 0 } as CpioEntry].forEach((entry, index) => {
    const name = Buffer.from(`${entry.name}\0`);
    const data = Buffer.from(entry.data ?? new Uint8Array(0));
    const { major, minor } = entry.device ?? { major: 0, minor: 0 };
    // ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
    const fields = [index + 1, entry.mode, 0, 0, 1, 0, data.length, 0, 0, major, minor, name.length, 0];
    const head = `070701${fields.map((value) => value.toString(16).toUpperCase().padStart(8, "0")).join("")}`;
    parts.push(Buffer.from(head), name, Buffer.alloc(pad4(head.length + name.length)));
    parts.push(data, Buffer.alloc(pad4(data.length)));
  });
  return Buffer.concat(parts);
}
