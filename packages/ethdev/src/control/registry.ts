// The table of ports. Drivers allocate a port in their probe and release it in their remove; a port's id is the lowest free
// one, as in rte_ethdev. Also the telemetry paths `/ethdev/...`. Called by drivers and applications in the main thread.
import { eal } from "@emudev/eal";
import { EthDevError } from "../errors.ts";
import { EthDev, type EthDevSpec } from "./eth-dev.ts";
import { registerTelemetry } from "./telemetry.ts";
import type { EthDevEvent } from "./types.ts";

/** RTE_MAX_ETHPORTS; a stream of testpmd counts by port up to it. */
export const ETH_PORTS_MAX = 256;

const ports = new Map<number, EthDev>();
const listeners = new Set<(dev: EthDev, event: "new" | "destroy") => void>();

/**
 * Makes a port.
 * @param name the device's name, for instance `net_null0`
 * @throws EthDevError EXISTS for a name that is taken, LIMIT when there are ETH_PORTS_MAX ports
 */
export function ethDevAllocate(name: string, spec: EthDevSpec): EthDev {
  if (ethDevs().some((dev) => dev.name === name))
    throw new EthDevError("EXISTS", `there is a port named ${name} already`);
  let portId = 0;
  while (ports.has(portId)) portId++;
  if (portId >= ETH_PORTS_MAX)
    throw new EthDevError("LIMIT", `${name}: there are ${ETH_PORTS_MAX} ports already, and no more are possible`);
  const { arena, telemetry } = eal();
  const dev = new EthDev(portId, name, spec, arena, ethDevRelease);
  ports.set(portId, dev);
  registerTelemetry(telemetry);
  announce(dev, "new");
  return dev;
}

/** Frees the port's id. close() does it; a driver calls it for a port that was never closed. Idempotent. */
export function ethDevRelease(dev: EthDev): void {
  if (ports.get(dev.portId) !== dev) return;
  ports.delete(dev.portId);
  dev.notify("destroy");
  announce(dev, "destroy");
}

/** All ports by id. */
export function ethDevs(): EthDev[] {
  return [...ports.values()].sort((a, b) => a.portId - b.portId);
}

/**
 * The port of an id.
 * @throws EthDevError NODEV when there is none
 */
export function ethDev(portId: number): EthDev {
  const dev = ports.get(portId);
  if (dev !== undefined) return dev;
  const ids = ethDevs().map((other) => other.portId);
  throw new EthDevError("NODEV", `there is no port ${portId}; ports are ${ids.join(", ") || "none"}`);
}

/** The port of a device name. */
export function ethDevByName(name: string): EthDev | undefined {
  return ethDevs().find((dev) => dev.name === name);
}

/** Calls `listener` when a port comes or goes; returns a function that ends that. */
export function onEthDev(listener: (dev: EthDev, event: "new" | "destroy") => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function announce(dev: EthDev, event: EthDevEvent & ("new" | "destroy")): void {
  for (const listener of [...listeners]) listener(dev, event);
}
