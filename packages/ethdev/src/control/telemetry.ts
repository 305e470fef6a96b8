// The telemetry paths of ports, with the names and shapes of DPDK's ethdev telemetry. Registered once for an environment by
// the first port.
import type { Telemetry } from "@emudev/eal";
import type { EthDev } from "./eth-dev.ts";
import { ethDev, ethDevs } from "./registry.ts";

const registered = new WeakSet<Telemetry>();

export function registerTelemetry(telemetry: Telemetry): void {
  if (registered.has(telemetry)) return;
  registered.add(telemetry);
  const onPort = (path: string, help: string, answer: (dev: EthDev) => unknown): void =>
    telemetry.register(path, help, (params) => (/^\d+$/.test(params) ? answer(ethDev(Number(params))) : null));
  telemetry.register("/ethdev/list", "Returns list of available ethdev ports. Takes no parameters", () =>
    ethDevs().map((dev) => dev.portId),
  );
  onPort("/ethdev/stats", "Returns the common stats for a port. Parameters: int port_id", (dev) => dev.statsGet());
  onPort("/ethdev/xstats", "Returns the extended stats for a port. Parameters: int port_id", (dev) =>
    Object.fromEntries(dev.xstatsGet().map(({ name, value }) => [name, value])),
  );
  onPort("/ethdev/link_status", "Returns the link status for a port. Parameters: int port_id", (dev) => {
    const link = dev.linkGet();
    if (!link.up) return { status: "DOWN" };
    return { status: "UP", speed: link.speedMbps, duplex: link.fullDuplex ? "full-duplex" : "half-duplex" };
  });
  onPort("/ethdev/info", "Returns the device info for a port. Parameters: int port_id", (dev) => ({
    name: dev.name,
    state: dev.state,
    driver: dev.driverName,
    nb_rx_queues: dev.nbRxQueues,
    nb_tx_queues: dev.nbTxQueues,
    mtu: dev.mtuGet(),
    mac_addr: [...dev.macAddrGet()].map((byte) => byte.toString(16).padStart(2, "0")).join(":"),
    promiscuous: dev.promiscuousGet() ? 1 : 0,
  }));
}
