// Commands that change settings: `set ...`. What the forwarding lcores read while they poll (burst, verbose, retry) takes
// effect at once, the rest at the next start.
import { type PollMode, parseLogRule, setPollMode } from "@emudev/eal";
import { checkBurst, checkCores, checkPortlist, checkTxpkts } from "../control/limits.ts";
import { PmdError } from "../errors.ts";
import type { Pmd } from "../pmd.ts";
import type { Args, Section } from "./parser.ts";

export const SET: Section = {
  name: "config",
  title: "Change settings",
  commands: [
    { syntax: "set fwd <mode> [retry]", help: "forwarding mode", run: setFwd },
    { syntax: "set burst <uint:packets>", help: "packets a burst, 1 to 512", run: setBurst },
    { syntax: "set txpkts <list:bytes>", help: "segments of the packets that txonly makes", run: setTxpkts },
    { syntax: "set nbcore <uint:lcores>", help: "forwarding lcores", run: setNbcore },
    { syntax: "set nbport <uint:ports>", help: "forward on the first ports", run: setNbport },
    { syntax: "set portlist <list:ports>", help: "forward on these ports", run: setPortlist },
    { syntax: "set port-topology <topology>", help: "which port feeds which", run: setTopology },
    { syntax: "set mirror <portid> <portoff:to>", help: "a port that also gets what one receives", run: setMirror },
    { syntax: "set eth-peer <portid> <mac>", help: "where packets of a port go to", run: setEthPeer },
    { syntax: "set verbose <uint:level>", help: "print packets: 1 received, 2 sent, 3 both, 0 none", run: setVerbose },
    {
      syntax: "set (record-core-cycles|record-burst-stats) <onoff>",
      help: "time the turns of lcores; count the sizes of bursts",
      run: setRecord,
    },
    { syntax: "set poll-mode <pollmode>", help: "what lcores do with nothing to do", run: setPolling },
    {
      syntax: "set lcore-rebalance <rebalance>",
      help: "queues change lcores by their load, looked at every second or so many ms",
      run: setRebalance,
    },
    { syntax: "set promisc <port> <onoff>", help: "promiscuous mode", run: setPromisc },
    { syntax: "set allmulti <port> <onoff>", help: "allmulticast mode", run: setAllmulti },
    { syntax: "set (link-up|link-down) port <portid>", help: "the link of a port", run: setLink },
    { syntax: "set log <text:type> <text:level>", help: "log level of a type, a pattern or global", run: setLog },
  ],
};

function setFwd(pmd: Pmd, args: Args): void {
  pmd.config.mode = args.mode as typeof pmd.config.mode;
  pmd.config.retry = args.retry !== undefined;
  if (!pmd.forwarding.running) pmd.forwarding.apply();
  const retry = pmd.config.retry ? " with retry" : "";
  pmd.out(`Set ${pmd.config.mode} packet forwarding mode${retry}\n`);
}

function setBurst(pmd: Pmd, args: Args): void {
  pmd.config.burst = checkBurst(args.packets as number);
  pmd.forwarding.apply();
  pmd.out(`Number of packets per burst set to ${pmd.config.burst}\n`);
}

function setTxpkts(pmd: Pmd, args: Args): void {
  pmd.config.txpkts = checkTxpkts(args.bytes as number[], pmd.config.mbufSize);
}

function setNbcore(pmd: Pmd, args: Args): void {
  pmd.config.nbCores = checkCores(args.lcores as number, pmd.eal.lcores.workers.length);
  pmd.out(`Number of forwarding cores set to ${pmd.config.nbCores}\n`);
}

function setNbport(pmd: Pmd, args: Args): void {
  const ids = pmd.ports.all().map((dev) => dev.portId);
  const count = args.ports as number;
  if (count < 1 || count > ids.length) throw new PmdError("COMMAND", `There are ${ids.length} ports, not ${count}`);
  pmd.config.portlist = ids.slice(0, count);
  pmd.out(`Number of forwarding ports set to ${count}\n`);
}

function setPortlist(pmd: Pmd, args: Args): void {
  const list = checkPortlist(args.ports as number[]);
  for (const portId of list) pmd.ports.get(portId);
  pmd.config.portlist = list;
}

function setTopology(pmd: Pmd, args: Args): void {
  pmd.config.topology = args.topology as typeof pmd.config.topology;
}

function setMirror(pmd: Pmd, args: Args): void {
  const { portId } = pmd.ports.get(args.portid as number);
  if (args.to === "off") {
    pmd.config.mirrors.delete(portId);
    return;
  }
  const to = pmd.ports.get(args.to as number).portId;
  if (to === portId) throw new PmdError("COMMAND", `Port ${portId} cannot be its own mirror`);
  pmd.config.mirrors.set(portId, to);
}

function setEthPeer(pmd: Pmd, args: Args): void {
  const dev = pmd.ports.get(args.portid as number);
  pmd.config.ethPeers.set(dev.portId, args.mac as Uint8Array);
}

function setVerbose(pmd: Pmd, args: Args): void {
  const level = args.level as number;
  if (level > 3) throw new PmdError("COMMAND", "Verbose levels are 0 to 3");
  pmd.out(`Change verbose level from ${pmd.config.verbose} to ${level}\n`);
  pmd.setVerbose(level);
}

function setRecord(pmd: Pmd, args: Args): void {
  if (args.what === "record-core-cycles") pmd.config.recordCoreCycles = args.onoff === true;
  else pmd.config.recordBurstStats = args.onoff === true;
  pmd.forwarding.apply();
  if (args.onoff !== true || !pmd.forwarding.running) return;
  // Cycles a packet are only right when both are counted over the same time.
  pmd.forwarding.clear();
  pmd.out("Forwarding statistics begin anew\n");
}

function setPolling(pmd: Pmd, args: Args): void {
  setPollMode(pmd.eal.arena, pmd.eal.lcores.workers, args.pollmode as PollMode);
}

async function setRebalance(pmd: Pmd, args: Args): Promise<void> {
  await pmd.rebalancer.set(args.rebalance as number);
}

async function setPromisc(pmd: Pmd, args: Args): Promise<void> {
  for (const dev of pmd.ports.named(args.port as number | "all"))
    await (args.onoff ? dev.promiscuousEnable() : dev.promiscuousDisable());
}

async function setAllmulti(pmd: Pmd, args: Args): Promise<void> {
  for (const dev of pmd.ports.named(args.port as number | "all"))
    await (args.onoff ? dev.allmulticastEnable() : dev.allmulticastDisable());
}

async function setLink(pmd: Pmd, args: Args): Promise<void> {
  await pmd.ports.get(args.portid as number).linkSet(args.what === "link-up");
}

function setLog(pmd: Pmd, args: Args): void {
  const pattern = args.type === "global" ? "*" : (args.type as string);
  pmd.eal.logs.set(parseLogRule(`${pattern}:${args.level as string}`));
}
