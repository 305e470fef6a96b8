// Messages of the conformance checks as bytes, put together by hand from the specification's tables: on purpose not by the
// codecs of the vfio-user package, so that a mistake there is not made twice. Little-endian, as every supported machine is.

export const u8 = (...values: number[]): Uint8Array => Uint8Array.from(values);

export function u16(...values: number[]): Uint8Array {
  return new Uint8Array(Uint16Array.from(values).buffer);
}

export function u32(...values: number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(values).buffer);
}

export function u64(...values: (number | bigint)[]): Uint8Array {
  return new Uint8Array(BigUint64Array.from(values.map((value) => BigInt.asUintN(64, BigInt(value)))).buffer);
}

export function cat(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

/** VERSION's payload; without `text` there is no JSON at all. */
export function versionBody(major: number, minor: number, text?: string): Uint8Array {
  return text === undefined ? u16(major, minor) : cat(u16(major, minor), Buffer.from(text, "latin1"));
}

export const getInfo = (argsz = 16): Uint8Array => u32(argsz, 0, 0, 0);
export const getRegionInfo = (index: number, argsz = 4096): Uint8Array => cat(u32(argsz, 0, index, 0), u64(0, 0));
export const getIrqInfo = (index: number, argsz = 16): Uint8Array => u32(argsz, 0, index, 0);
export const setIrqs = (flags: number, index: number, start: number, count: number, data = u8(), argsz?: number) =>
  cat(u32(argsz ?? 20 + data.length, flags, index, start, count), data);
export const dmaMap = (address: number | bigint, size: number | bigint, flags = 3, argsz = 32): Uint8Array =>
  cat(u32(argsz, flags), u64(0, address, size));
export const dmaUnmap = (address: number | bigint, size: number | bigint, flags = 0, argsz = 24): Uint8Array =>
  cat(u32(argsz, flags), u64(address, size));
export const access = (region: number, offset: number | bigint, count: number, data = u8()): Uint8Array =>
  cat(u64(offset), u32(region, count), data);
export const feature = (flags: number, data = u8(), argsz?: number): Uint8Array =>
  cat(u32(argsz ?? 8 + data.length, flags), data);

/** The header in front of a payload. */
export function message(id: number, command: number, body: Uint8Array, flags = 0, size = 16 + body.length): Uint8Array {
  return cat(u16(id, command), u32(size, flags, 0), body);
}
