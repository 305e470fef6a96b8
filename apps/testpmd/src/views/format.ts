// How addresses, links and numbers are written in the application's output: DPDK's forms.
import type { EthLink } from "@emudev/ethdev";

/** `02:00:00:00:00:01`, in capitals as rte_ether_format_addr writes it. */
export function formatMac(mac: Uint8Array): string {
  return [...mac].map((byte) => byte.toString(16).padStart(2, "0").toUpperCase()).join(":");
}

/** A speed as rte_eth_link_speed_to_str writes it. */
export function formatSpeed(mbps: number): string {
  if (mbps === 0) return "None";
  return mbps >= 1000 && mbps % 100 === 0 ? `${mbps / 1000} Gbps` : `${mbps} Mbps`;
}

/** A link as rte_eth_link_to_str writes it. */
export function formatLink(link: EthLink): string {
  if (!link.up) return "Link down";
  const duplex = link.fullDuplex ? "FDX" : "HDX";
  return `Link up at ${formatSpeed(link.speedMbps)} ${duplex} ${link.autoneg ? "Autoneg" : "Fixed"}`;
}

/** A label and a number, padded on the right as "%-14u" pads. */
export function field(label: string, value: number, width = 0): string {
  return `${label}${String(value).padEnd(width)}`;
}
