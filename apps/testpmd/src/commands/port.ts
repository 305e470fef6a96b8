// Commands on ports: start, stop, close, reset, attach, detach, their settings, addresses and VLANs. A port that forwards is
// not touched by commands that would take it away from its lcore.
import { ethDevByName } from "@emudev/ethdev";
import { PmdError } from "../errors.ts";
import type { Pmd } from "../pmd.ts";
import type { Args, Section } from "./parser.ts";

export const PORT: Section = {
  name: "ports",
  title: "Ports",
  commands: [
    { syntax: "port (start|stop|close|reset) <port>", help: "a port, or all", run: portLife },
    { syntax: "port migrate <portid> <text:path>", help: "go on with the device behind another socket", run: migrate },
    {
      syntax: "port migrate <portid> <text:path> wait <uint:ms>",
      help: "the same; how long the server at the same path may take to make way for another",
      run: migrate,
    },
    { syntax: "port attach <devargs>", help: "add a virtual device", run: attach },
    { syntax: "port detach <portid>", help: "remove the device of a closed or stopped port", run: detach },
    {
      syntax: "port config all (rxq|txq|rxd|txd) <uint:n>",
      help: "queues or descriptors of every port",
      run: configAll,
    },
    { syntax: "port config mtu <portid> <uint:bytes>", help: "the MTU of a port", run: configMtu },
    { syntax: "mac_addr (add|remove|set) <portid> <mac>", help: "addresses of a port", run: macAddr },
    { syntax: "vlan set (strip|filter) <onoff> <portid>", help: "VLAN offloads of a port", run: vlanSet },
    { syntax: "rx_vlan (add|rm) <uint:vlan> <portid>", help: "VLANs that a port lets pass", run: rxVlan },
  ],
};

/** The port may forward meanwhile: its bursts are empty until the other device has taken over. */
async function migrate(pmd: Pmd, args: Args): Promise<void> {
  const dev = pmd.ports.get(args.portid as number);
  const start = performance.now();
  await dev.migrate(args.path as string, args.ms === undefined ? {} : { waitMs: args.ms as number });
  pmd.out(`Port ${dev.portId} has migrated to ${args.path} in ${(performance.now() - start).toFixed(0)} ms\n`);
}

async function portLife(pmd: Pmd, args: Args): Promise<void> {
  const what = args.what as "start" | "stop" | "close" | "reset";
  for (const dev of pmd.ports.named(args.port as number | "all")) {
    if (what !== "start") refuseForwarding(pmd, dev.portId);
    if (what === "reset") {
      pmd.out("Resetting ports...\n");
      await dev.reset();
      pmd.ports.record(dev).dirty = true;
      pmd.out("Done\n");
    } else {
      await pmd.ports[what](dev);
    }
  }
  if (what === "start") pmd.checkLinks();
}

async function attach(pmd: Pmd, args: Args): Promise<void> {
  pmd.out("Attaching a new port...\n");
  const { name } = await pmd.eal.vdev.attach(args.devargs as string);
  const dev = ethDevByName(name);
  if (dev === undefined) pmd.out(`Device ${name} is attached; it has no port\n`);
  else pmd.out(`Port ${dev.portId} is attached. Now total ports is ${pmd.ports.all().length}\n`);
  pmd.out("Done\n");
}

async function detach(pmd: Pmd, args: Args): Promise<void> {
  const dev = pmd.ports.get(args.portid as number);
  refuseForwarding(pmd, dev.portId);
  if (dev.state === "started") throw new PmdError("PORT", `Port ${dev.portId} not stopped; see 'port stop'`);
  pmd.out("Detaching a port...\n");
  await pmd.eal.vdev.detach(dev.name);
  pmd.out(`Device of port ${dev.portId} is detached\nNow total ports is ${pmd.ports.all().length}\nDone\n`);
}

function configAll(pmd: Pmd, args: Args): void {
  const started = pmd.ports.all().filter((dev) => dev.state === "started");
  if (started.length > 0) throw new PmdError("PORT", "Please stop all ports first");
  pmd.config[args.what as "rxq" | "txq" | "rxd" | "txd"] = args.n as number;
  pmd.ports.markDirty();
}

async function configMtu(pmd: Pmd, args: Args): Promise<void> {
  await pmd.ports.get(args.portid as number).mtuSet(args.bytes as number);
}

async function macAddr(pmd: Pmd, args: Args): Promise<void> {
  const dev = pmd.ports.get(args.portid as number);
  const mac = args.mac as Uint8Array;
  if (args.what === "add") await dev.macAddrAdd(mac);
  else if (args.what === "remove") await dev.macAddrRemove(mac);
  else await dev.macAddrSet(mac);
}

async function vlanSet(pmd: Pmd, args: Args): Promise<void> {
  await pmd.ports.get(args.portid as number).vlanOffloadSet(args.what as "strip" | "filter", args.onoff as boolean);
}

async function rxVlan(pmd: Pmd, args: Args): Promise<void> {
  await pmd.ports.get(args.portid as number).vlanFilterSet(args.vlan as number, args.what === "add");
}

function refuseForwarding(pmd: Pmd, portId: number): void {
  if (pmd.forwarding.uses(pmd.ports.get(portId)))
    throw new PmdError("PORT", `Please remove port ${portId} from forwarding configuration, or stop forwarding`);
}
