// Ethernet and IP addresses as text, both ways. Parsing is strict and gives null for what is no address; IPv6 text is
// written as RFC 5952 asks (lower case, no leading zeros, the longest run of zero groups shortened).

/** "02:00:00:00:00:01" for six bytes. */
export const formatMac = (mac: Uint8Array): string =>
  Array.from(mac, (byte) => byte.toString(16).padStart(2, "0")).join(":");

/** Six bytes, or null. */
export function parseMac(text: string): Uint8Array | null {
  if (!/^[0-9a-f]{1,2}(:[0-9a-f]{1,2}){5}$/i.test(text)) return null;
  return Uint8Array.from(text.split(":"), (byte) => Number.parseInt(byte, 16));
}

/** "10.0.0.1" for four bytes. */
export const formatIpv4 = (address: Uint8Array): string => address.join(".");

/** Four bytes, or null. Leading zeros, which some read as octal, are refused. */
export function parseIpv4(text: string): Uint8Array | null {
  const parts = text.split(".");
  if (parts.length !== 4 || parts.some((part) => !/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255)) return null;
  return Uint8Array.from(parts, Number);
}

/** "fe80::1" for sixteen bytes. */
export function formatIpv6(address: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, i) => ((address[2 * i]! << 8) | address[2 * i + 1]!).toString(16));
  let start = -1;
  let length = 1; // a single zero group is not shortened
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && groups[end] === "0") end++;
    if (end - i > length) [start, length] = [i, end - i];
    if (end > i) i = end;
  }
  if (start < 0) return groups.join(":");
  return `${groups.slice(0, start).join(":")}::${groups.slice(start + length).join(":")}`;
}

/** Sixteen bytes, or null. A trailing dotted quad is understood. */
export function parseIpv6(text: string): Uint8Array | null {
  const quad = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  let rest = text;
  if (quad !== null) {
    const v4 = parseIpv4(quad[2]!);
    if (v4 === null) return null;
    const hex = (i: number) => ((v4[i]! << 8) | v4[i + 1]!).toString(16);
    rest = `${quad[1]}${hex(0)}:${hex(2)}`;
  }
  const halves = rest.split("::");
  if (halves.length > 2) return null;
  const [head, tail] = halves.map((half) => (half === "" ? [] : half.split(":")));
  const given = head!.length + (tail?.length ?? 0);
  if (tail === undefined ? given !== 8 : given > 7) return null;
  const groups = [...head!, ...Array<string>(8 - given).fill("0"), ...(tail ?? [])];
  if (groups.some((group) => !/^[0-9a-f]{1,4}$/i.test(group))) return null;
  return Uint8Array.from(
    groups.flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 0xff]),
  );
}
