// The checks that rte_eth_dev_configure and rte_eth_rx/tx_queue_setup make before a driver is asked: numbers of queues and
// descriptors against the port's limits, offloads against its capabilities, the mempool's buffers. Called by eth-dev.ts.
import { MBUF_HEADROOM, type Mempool } from "@emudev/shm";
import { EthDevError } from "../errors.ts";
import type { DescLim, EthConf, EthDevInfo, EthQueueConf } from "./types.ts";

/** Refuses a configuration outside the port's limits. */
export function checkConfigure(name: string, info: EthDevInfo, nbRx: number, nbTx: number, conf: EthConf): void {
  checkCount(name, "receive", nbRx, info.maxRxQueues);
  checkCount(name, "transmit", nbTx, info.maxTxQueues);
  if (nbRx + nbTx === 0) throw new EthDevError("INVAL", `${name}: no queue at all was asked for`);
  checkOffloads(name, "receive", conf.rxOffloads, info.rxOffloadCapa);
  checkOffloads(name, "transmit", conf.txOffloads, info.txOffloadCapa);
  if (conf.mtu !== undefined) checkMtu(name, info, conf.mtu);
}

/** Refuses an MTU outside the port's limits. */
export function checkMtu(name: string, info: EthDevInfo, mtu: number): void {
  if (!Number.isInteger(mtu) || mtu < info.minMtu || mtu > info.maxMtu)
    throw new EthDevError("INVAL", `${name}: MTU ${mtu} is not from ${info.minMtu} to ${info.maxMtu}`);
}

/** The number of descriptors to use: the default for 0. */
export function checkDescriptors(name: string, nbDesc: number, lim: DescLim, standard: number): number {
  if (nbDesc === 0) return standard;
  if (!Number.isInteger(nbDesc) || nbDesc < lim.min || nbDesc > lim.max || nbDesc % lim.align !== 0) {
    const limits = `from ${lim.min} to ${lim.max}, a multiple of ${lim.align}`;
    throw new EthDevError(
      "INVAL",
      `${name}: ${nbDesc} descriptors; the number must be ${limits}, or 0 for ${standard}`,
    );
  }
  return nbDesc;
}

/** Refuses a queue number that was not configured. */
export function checkQueue(name: string, queue: number, count: number): void {
  if (!Number.isInteger(queue) || queue < 0 || queue >= count)
    throw new EthDevError("INVAL", `${name}: there is no such queue; ${count} are configured`);
}

/** Refuses a mempool whose buffers are too small for the port. */
export function checkPool(name: string, info: EthDevInfo, pool: Mempool): void {
  const room = pool.dataRoom - MBUF_HEADROOM;
  if (room < info.minRxBufsize)
    throw new EthDevError("INVAL", `${name}: mbufs with ${room} bytes are too small; ${info.minRxBufsize} are needed`);
}

/** Refuses offloads that the port does not have. */
export function checkOffloads(
  name: string,
  side: "receive" | "transmit",
  wanted: EthQueueConf["offloads"],
  capa: readonly string[],
): void {
  const missing = (wanted ?? []).filter((offload) => !capa.includes(offload));
  if (missing.length === 0) return;
  const known = capa.join(", ") || "none";
  throw new EthDevError("INVAL", `${name}: ${side} offload ${missing.join(", ")} is not supported; there are ${known}`);
}

function checkCount(name: string, side: string, count: number, max: number): void {
  if (!Number.isInteger(count) || count < 0 || count > max)
    throw new EthDevError("INVAL", `${name}: ${count} ${side} queues; the port has at most ${max}`);
}
