// Views of the headers from Ethernet to TCP, checksums, addresses as text, and pcap files.
export * from "./address.ts";
export * as inet from "./checksum.ts";
export { crc32c } from "./crc32c.ts";
export * from "./ethernet.ts";
export * from "./ip.ts";
export * from "./pcap.ts";
export * from "./pcapng.ts";
export * from "./transport.ts";
export { HeaderView } from "./view.ts";
