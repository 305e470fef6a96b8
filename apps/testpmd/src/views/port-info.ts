// What `show port info` and `show port summary` print: port_infos_display and port_summary_display of DPDK's testpmd.
import type { EthDev } from "@emudev/ethdev";
import { formatMac, formatSpeed } from "./format.ts";

const BORDER = "*********************";
const onOff = (on: boolean): string => (on ? "on" : "off");
const enabled = (on: boolean): string => (on ? "enabled" : "disabled");

export function portInfo(dev: EthDev): string {
  const info = dev.infoGet();
  const link = dev.linkGet();
  const connection = dev.connectionGet();
  const vlan = dev.vlanOffloadGet();
  const lines = [
    "",
    `${BORDER} Infos for port ${String(dev.portId).padEnd(2)} ${BORDER}`,
    `MAC address: ${formatMac(dev.macAddrGet())}`,
    `Device name: ${dev.name}`,
    `Driver name: ${info.driverName}`,
    "Firmware-version: not available",
    `Devargs: ${dev.devargs}`,
    "Connect to socket: 0",
    "memory allocation on the socket: 0",
    ...(connection === undefined ? [] : [`Connection: ${connection}`]),
    `Link status: ${link.up ? "up" : "down"}`,
    `Link speed: ${formatSpeed(link.up ? link.speedMbps : 0)}`,
    `Link duplex: ${link.fullDuplex ? "full-duplex" : "half-duplex"}`,
    `Autoneg status: ${link.autoneg ? "On" : "Off"}`,
    `MTU: ${dev.mtuGet()}`,
    `Promiscuous mode: ${enabled(dev.promiscuousGet())}`,
    `Allmulticast mode: ${enabled(dev.allmulticastGet())}`,
    `Maximum number of MAC addresses: ${info.maxMacAddrs}`,
    "Maximum number of MAC addresses of hash filtering: 0",
    "VLAN offload: ",
    `  strip ${onOff(vlan.strip)}, filter ${onOff(vlan.filter)}, extend off, qinq strip off`,
    ...(info.hashKeySize > 0 ? [`Hash key size in bytes: ${info.hashKeySize}`] : []),
    ...(info.retaSize > 0 ? [`Redirection table size: ${info.retaSize}`] : []),
    "No RSS offload flow type is supported.",
    `Minimum size of RX buffer: ${info.minRxBufsize}`,
    `Maximum configurable length of RX packet: ${info.maxRxPktlen}`,
    "Maximum configurable size of LRO aggregated packet: 0",
    `Current number of RX queues: ${dev.nbRxQueues}`,
    `Max possible RX queues: ${info.maxRxQueues}`,
    `Max possible number of RXDs per queue: ${info.rxDescLim.max}`,
    `Min possible number of RXDs per queue: ${info.rxDescLim.min}`,
    `RXDs number alignment: ${info.rxDescLim.align}`,
    `Current number of TX queues: ${dev.nbTxQueues}`,
    `Max possible TX queues: ${info.maxTxQueues}`,
    `Max possible number of TXDs per queue: ${info.txDescLim.max}`,
    `Min possible number of TXDs per queue: ${info.txDescLim.min}`,
    `TXDs number alignment: ${info.txDescLim.align}`,
    `Device capabilities: 0x0( )`,
    `RX offload capabilities: ${info.rxOffloadCapa.join(" ") || "none"}`,
    `TX offload capabilities: ${info.txOffloadCapa.join(" ") || "none"}`,
    "",
  ];
  return lines.join("\n");
}

export function portSummaryHead(count: number): string {
  const row = summaryRow("Port", "MAC Address", "Name", "Driver", "Status", "Link");
  return `Number of available ports: ${count}\n${row}`;
}

export function portSummary(dev: EthDev): string {
  const link = dev.linkGet();
  const speed = formatSpeed(link.up ? link.speedMbps : 0);
  const { driverName } = dev.infoGet();
  return summaryRow(`${dev.portId}`, formatMac(dev.macAddrGet()), dev.name, driverName, link.up ? "up" : "down", speed);
}

function summaryRow(port: string, mac: string, name: string, driver: string, status: string, link: string): string {
  const cells = [port.padEnd(4), mac.padEnd(17), name.padEnd(12), driver.padEnd(14), status.padEnd(8), link];
  return `${cells.join(" ")}\n`;
}
