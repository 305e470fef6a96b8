// The application's command line, what follows `--`: testpmd's options, checked, as settings. Options of DPDK's testpmd that
// mean nothing here, but that users type by habit, are accepted with a notice. Called by main.ts.
import { parseMac } from "@emudev/eal";
import yargs from "yargs";
import { type Config, defaultConfig, PORT_TOPOLOGIES, type PortTopology } from "./control/config.ts";
import { checkBurst, checkPortlist, checkTxpkts } from "./control/limits.ts";
import { PmdError, reason } from "./errors.ts";
import { FWD_MODE_NAMES, type FwdModeName } from "./fwd/modes.ts";

export interface AppOptions {
  config: Config;
  interactive: boolean;
  autoStart: boolean;
  /** Bursts to send before forwarding. */
  txFirst: number;
  /** Seconds between two prints of statistics, 0 = none. */
  statsPeriod: number;
  cmdlineFile: { path: string; echo: boolean } | undefined;
  /** Ports are left stopped. */
  disableDeviceStart: boolean;
  /** Forward on the first ports only. */
  nbPorts: number | undefined;
  help: boolean;
  /** Options that were accepted without effect. */
  ignored: string[];
}

const IGNORED = [
  "no-flush-rx",
  "no-lsc-interrupt",
  "disable-link-check",
  "numa",
  "no-numa",
  "disable-rss",
  "rss-ip",
  "rss-udp",
];
const QUEUES_MAX = 256;
const DESCRIPTORS_MAX = 4096;

function appYargs() {
  const text = { type: "string", requiresArg: true } as const;
  const flag = { type: "boolean" } as const;
  const parser = yargs([])
    .version(false)
    .help(false)
    .scriptName("testpmd")
    .usage("$0 [EAL options] -- [testpmd options]")
    .exitProcess(false)
    .parserConfiguration({
      "camel-case-expansion": false,
      "dot-notation": false,
      "boolean-negation": false,
      "parse-numbers": false,
      "duplicate-arguments-array": true,
    })
    .option("interactive", { ...flag, alias: "i", describe: "read commands from the terminal or from standard input" })
    .option("auto-start", { ...flag, alias: "a", describe: "start forwarding at once, with -i" })
    .option("tx-first", { ...flag, describe: "send a burst before forwarding" })
    .option("stats-period", { ...text, describe: "print statistics every so many seconds, without -i" })
    .option("forward-mode", { ...text, describe: `one of ${FWD_MODE_NAMES.join(", ")}` })
    .option("nb-cores", { ...text, describe: "forwarding lcores (1)" })
    .option("nb-ports", { ...text, describe: "forward on the first ports (all)" })
    .option("portlist", { ...text, describe: "forward on these ports: 0,2-3 (all)" })
    .option("portmask", { ...text, describe: "forward on the ports of a hexadecimal mask (all)" })
    .option("port-topology", { ...text, describe: `${PORT_TOPOLOGIES.join(", ")} (paired)` })
    .option("rxq", { ...text, describe: "receive queues of each port (1)" })
    .option("txq", { ...text, describe: "transmit queues of each port (1)" })
    .option("rxd", { ...text, describe: "descriptors of a receive queue (0: the driver's default)" })
    .option("txd", { ...text, describe: "descriptors of a transmit queue (0: the driver's default)" })
    .option("burst", { ...text, describe: "packets a burst, 1 to 512 (32)" })
    .option("txpkts", { ...text, describe: "segments of the packets that txonly makes (64)" })
    .option("eth-peer", { ...text, describe: "N,MAC: where packets of port N go to" })
    .option("mbuf-size", { ...text, describe: "bytes of headroom and data room of an mbuf (2176)" })
    .option("total-num-mbufs", { ...text, describe: "mbufs in all (as many as the queues need)" })
    .option("mbcache", { ...text, describe: "mbufs in the cache of an lcore (250)" })
    .option("max-pkt-len", { ...text, describe: "bytes of the longest frame (1518)" })
    .option("cmdline-file", { ...text, describe: "commands to run at the start" })
    .option("cmdline-file-noecho", { ...text, describe: "the same, not printing them" })
    .option("disable-device-start", { ...flag, describe: "leave the ports stopped" })
    .option("record-core-cycles", { ...flag, describe: "time the turns of forwarding lcores" })
    .option("record-burst-stats", { ...flag, describe: "count the sizes of bursts" })
    .option("help", { ...flag, alias: "h", describe: "print this text" })
    .strict();
  for (const name of IGNORED) parser.option(name, { type: "boolean", hidden: true });
  return parser.wrap(100);
}

/** The help text of the application's options. */
export function appUsage(): string {
  let text = "";
  appYargs().showHelp((help) => {
    text = help;
  });
  return text;
}

/**
 * Parses the application's arguments.
 * @throws PmdError USAGE naming the option and what is allowed
 */
export function parseAppArgs(argv: readonly string[]): AppOptions {
  const args = parseStrictly(argv);
  const read = new Reader(args);
  const config = defaultConfig();
  config.mode = read.choice("forward-mode", FWD_MODE_NAMES, config.mode) as FwdModeName;
  config.topology = read.choice("port-topology", PORT_TOPOLOGIES, config.topology) as PortTopology;
  config.nbCores = read.uint("nb-cores", 1, 1024) ?? config.nbCores;
  config.rxq = read.uint("rxq", 0, QUEUES_MAX) ?? config.rxq;
  config.txq = read.uint("txq", 0, QUEUES_MAX) ?? config.txq;
  config.rxd = read.uint("rxd", 0, DESCRIPTORS_MAX) ?? config.rxd;
  config.txd = read.uint("txd", 0, DESCRIPTORS_MAX) ?? config.txd;
  config.mbufSize = read.uint("mbuf-size", 256, 65535) ?? config.mbufSize;
  config.totalMbufs = read.uint("total-num-mbufs", 512, 2 ** 22);
  config.mbcache = read.uint("mbcache", 0, 512) ?? config.mbcache;
  config.maxPktLen = read.uint("max-pkt-len", 64, 65535);
  config.burst = read.checked("burst", (text) => checkBurst(uintOf(text))) ?? config.burst;
  config.txpkts =
    read.checked("txpkts", (text) => checkTxpkts(text.split(",").map(uintOf), config.mbufSize)) ?? config.txpkts;
  config.portlist = read.checked("portlist", readPortlist) ?? read.checked("portmask", readPortmask) ?? null;
  for (const text of read.list("eth-peer"))
    read.check("eth-peer", text, (peer) => config.ethPeers.set(...readPeer(peer)));
  config.recordCoreCycles = args["record-core-cycles"] === true;
  config.recordBurstStats = args["record-burst-stats"] === true;
  const file = read.text("cmdline-file");
  const quietFile = read.text("cmdline-file-noecho");
  const path = file ?? quietFile;
  if (args.interactive === true && args["tx-first"] === true)
    throw usage("--tx-first cannot be used with -i; type 'start tx_first' instead");
  return {
    config,
    interactive: args.interactive === true,
    autoStart: args["auto-start"] === true,
    txFirst: args["tx-first"] === true ? 1 : 0,
    statsPeriod: read.uint("stats-period", 0, 86_400) ?? 0,
    cmdlineFile: path === undefined ? undefined : { path, echo: file !== undefined },
    disableDeviceStart: args["disable-device-start"] === true,
    nbPorts: read.uint("nb-ports", 1, 32),
    help: args.help === true,
    ignored: IGNORED.filter((name) => args[name] !== undefined).map((name) => `--${name}`),
  };
}

type Args = Record<string, unknown>;

function usage(message: string): PmdError {
  return new PmdError("USAGE", message);
}

function parseStrictly(argv: readonly string[]): Args {
  let wrong = "";
  const args = appYargs()
    .fail((message: string | null, error: Error | undefined) => {
      wrong = message ?? error?.message ?? "wrong arguments";
      wrong = wrong.replace(/^Unknown arguments?: /, (text) => `${text}--`).replaceAll(", ", ", --");
    })
    .parseSync([...argv]) as Args & { _: unknown[] };
  if (wrong === "" && args._.length > 0) wrong = `Unexpected argument: ${args._.join(" ")}`;
  if (wrong !== "") throw usage(`${wrong} ('testpmd -- --help' lists the options)`);
  return args;
}

/** Reads options one by one, naming them in every refusal. */
class Reader {
  readonly #args: Args;

  constructor(args: Args) {
    this.#args = args;
  }

  text(name: string): string | undefined {
    const value = this.#args[name];
    if (Array.isArray(value)) throw usage(`--${name} is given ${value.length} times; give it once`);
    return value as string | undefined;
  }

  list(name: string): string[] {
    const value = this.#args[name] as string | string[] | undefined;
    return value === undefined ? [] : [value].flat();
  }

  uint(name: string, min: number, max: number): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = /^\d{1,9}$/.test(text) ? Number(text) : -1;
    if (value < min || value > max) throw usage(`--${name} ${text}: expected a number from ${min} to ${max}`);
    return value;
  }

  choice(name: string, choices: readonly string[], standard: string): string {
    const text = this.text(name) ?? standard;
    if (!choices.includes(text)) throw usage(`--${name} ${text}: expected one of ${choices.join(", ")}`);
    return text;
  }

  checked<T>(name: string, parse: (text: string) => T): T | undefined {
    const text = this.text(name);
    return text === undefined ? undefined : this.check(name, text, parse);
  }

  check<T>(name: string, text: string, parse: (text: string) => T): T {
    try {
      return parse(text);
    } catch (error) {
      throw usage(`--${name} ${text}: ${reason(error)}`);
    }
  }
}

function uintOf(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw usage(`'${text}' is not a number`);
  return Number(text);
}

/** `0,2-3` */
function readPortlist(text: string): number[] {
  const ids = text.split(",").flatMap((part) => {
    const [first = "", last = first, more] = part.split("-");
    const [from, to] = [uintOf(first), uintOf(last)];
    if (more !== undefined || to < from || to > 1023) throw usage(`'${part}' is not a range of ports`);
    return Array.from({ length: to - from + 1 }, (_, i) => from + i);
  });
  return checkPortlist(ids);
}

function readPortmask(text: string): number[] {
  if (!/^(0x)?[0-9a-f]{1,8}$/i.test(text)) throw usage("expected a hexadecimal mask of ports");
  const mask = Number.parseInt(text, 16);
  const ids = Array.from({ length: 32 }, (_, id) => id).filter((id) => (mask >>> id) & 1);
  if (ids.length === 0) throw usage("no port is set");
  return ids;
}

/** `N,MAC` */
function readPeer(text: string): [portId: number, mac: Uint8Array] {
  const comma = text.indexOf(",");
  const mac = parseMac(text.slice(comma + 1));
  if (comma < 1 || mac === null) throw usage("expected N,MAC, for instance 0,02:00:00:00:00:01");
  return [uintOf(text.slice(0, comma)), mac];
}
