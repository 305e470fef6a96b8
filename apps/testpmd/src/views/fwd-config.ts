// What `start`, `show config fwd` and `show config rxtx` print: pkt_fwd_config_display and rxtx_config_display of DPDK's
// testpmd.
import type { EthDev } from "@emudev/ethdev";
import { type Config, ethPeer } from "../control/config.ts";
import type { StreamPlan } from "../control/topology.ts";
import { formatMac } from "./format.ts";

/** Lcores and the streams they poll, or would. */
export interface FwdPlan {
  ports: readonly EthDev[];
  lcores: readonly { id: number; streams: readonly StreamPlan[] }[];
}

const RETRIES = 64;

export function fwdConfig(config: Config, { ports, lcores }: FwdPlan): string {
  const streams = lcores.reduce((sum, lcore) => sum + lcore.streams.length, 0);
  const counts = `ports=${ports.length} - cores=${lcores.length} - streams=${streams}`;
  const lines = [
    `${config.mode} packet forwarding${retry(config)} - ${counts} - NUMA support enabled, MP allocation mode: native`,
  ];
  if (config.retry) lines.push(`TX retry num: ${RETRIES}, delay between TX retries: 0us`);
  for (const { id, streams: own } of lcores) {
    lines.push(`Logical Core ${id} (socket 0) forwards packets on ${own.length} streams:`);
    for (const s of own) {
      const route = `RX P=${s.rxPort}/Q=${s.rxQueue} (socket 0) -> TX P=${s.txPort}/Q=${s.txQueue} (socket 0)`;
      lines.push(`  ${route} peer=${formatMac(ethPeer(config, s.txPort))}`);
      for (const port of s.copies) lines.push(`    and TX P=${port}/Q=${s.txQueue} (socket 0), the same packets`);
    }
  }
  return `${lines.join("\n")}\n\n`;
}

export function rxtxConfig(config: Config, { ports, lcores }: FwdPlan): string {
  const lines = [`  ${config.mode} packet forwarding${retry(config)} packets/burst=${config.burst}`];
  if (config.mode === "txonly") {
    const length = config.txpkts.reduce((sum, segment) => sum + segment, 0);
    lines.push(`  packet len=${length} - nb packet segments=${config.txpkts.length}`);
  }
  lines.push(`  nb forwarding cores=${lcores.length} - nb forwarding ports=${ports.length}`);
  for (const dev of ports) lines.push(...portLines(dev));
  return `${lines.join("\n")}\n`;
}

function portLines(dev: EthDev): string[] {
  const lines = [
    `  port ${dev.portId}: RX queue number: ${dev.nbRxQueues} Tx queue number: ${dev.nbTxQueues}`,
    `    Rx offloads=${offloads(dev.conf.rxOffloads)} Tx offloads=${offloads(dev.conf.txOffloads)}`,
  ];
  for (let queue = 0; queue < dev.nbRxQueues; queue++)
    lines.push(`    RX queue: ${queue}`, `      RX desc=${dev.rxQueue(queue)?.nbDesc ?? 0} - RX free threshold=0`);
  for (let queue = 0; queue < dev.nbTxQueues; queue++)
    lines.push(`    TX queue: ${queue}`, `      TX desc=${dev.txQueue(queue)?.nbDesc ?? 0} - TX free threshold=0`);
  return lines;
}

function offloads(names: readonly string[] | undefined): string {
  return names === undefined || names.length === 0 ? "0x0" : names.join(",");
}

function retry(config: Config): string {
  return config.retry ? " with retry" : "";
}
