// The EAL's command line: yargs takes it apart, this file says what each option means and refuses what cannot be. `--` ends
// the EAL's part; the rest is the application's. Options of DPDK that mean nothing here, but that users type by habit, are
// accepted with a notice or refused with a reason. Called by init.ts.
import yargs from "yargs";
import { EalError } from "../errors.ts";
import { formatSet, type LcoreSpec, parseCoremask, parseLcores } from "./lcore-list.ts";
import { POLL_MODES, type PollMode } from "./lcore-usage.ts";
import { type LogRule, parseLogRule } from "./log.ts";

export interface EalOptions {
  /** Sorted by id, at least one. */
  lcores: LcoreSpec[];
  mainLcore: number;
  vdevs: string[];
  filePrefix: string;
  inMemory: boolean;
  /** A file that is truncated under a window of the arena costs its client, not the process. */
  sigbusGuard: boolean;
  telemetry: boolean;
  /** Bytes of the arena's own part, undefined = the arena's default. */
  ownBytes: number | undefined;
  /** Memory of huge pages where enough are free. */
  hugePages: boolean;
  logRules: LogRule[];
  pollMode: PollMode;
  /** Options that were accepted without effect: option and why. */
  ignored: { option: string; why: string }[];
}

export interface ParsedArgs {
  options: EalOptions;
  appArgs: string[];
}

/** DPDK options without a meaning here. */
const IGNORED: Record<string, { why: string; takesValue?: boolean; alias?: string }> = {
  "no-pci": { why: "there is no PCI bus here" },
  "no-hpet": { why: "the clock is always CLOCK_MONOTONIC here" },
  "no-shconf": { why: "there are no secondary processes here" },
  "legacy-mem": { why: "memory is one sparse arena here" },
  "single-file-segments": { why: "memory is always one file here" },
  "huge-unlink": { why: "memory has no file with a name here", takesValue: true },
  "memory-channels": { why: "memory channels are not laid out here", takesValue: true, alias: "n" },
  "memory-ranks": { why: "memory ranks are not laid out here", takesValue: true, alias: "r" },
  "iova-mode": { why: "there is no IOMMU here", takesValue: true },
};

/** DPDK options that cannot be met. */
const REFUSED: Record<string, { why: string; alias?: string }> = {
  allow: { why: "there are no PCI devices; use --vdev", alias: "a" },
  block: { why: "there are no PCI devices; use --vdev", alias: "b" },
  "driver-path": { why: "drivers are part of the application", alias: "d" },
  "huge-dir": { why: "memory comes from memfd, which takes huge pages of the default size without a mount" },
  "socket-mem": { why: "there is one memory; use -m MiB" },
  "numa-mem": { why: "there is one memory; use -m MiB" },
  syslog: { why: "logs go to standard error" },
  "service-corelist": { why: "there are no service cores", alias: "S" },
};

const MIB_ARENA_MIN = 16;
const MIB_ARENA_MAX = 2047;

/**
 * Parses the EAL's part of a command line.
 * @param argv arguments without node and script
 * @param cpus the CPUs that this process may run on
 * @throws EalError ARG for a wrong option, HELP and VERSION when these were asked for
 */
export function parseEalArgs(
  argv: readonly string[],
  cpus: readonly number[],
  program = "eal",
  version = "",
): ParsedArgs {
  const end = argv.indexOf("--");
  const given = splitShort(end < 0 ? argv : argv.slice(0, end));
  const parser = ealYargs(program);
  const args = parseStrictly(parser, given);
  if (args.version) throw new EalError("VERSION", `${program} ${version}`.trim());
  if (args.help) throw new EalError("HELP", ealUsage(program));
  const lcores = readLcores(args, cpus);
  return {
    options: {
      lcores,
      mainLcore: readMainLcore(args["main-lcore"], lcores),
      vdevs: list(args.vdev),
      filePrefix: readPrefix(args["file-prefix"] as string),
      inMemory: args["in-memory"] === true,
      sigbusGuard: args["sigbus-guard"] === true,
      telemetry: args["no-telemetry"] !== true,
      ownBytes: readMemory(args.m as string | undefined),
      hugePages: args["no-huge"] !== true,
      logRules: list(args["log-level"]).map(parseLogRule),
      pollMode: readPollMode(single(args, "poll-mode")),
      ignored: readOthers(args),
    },
    appArgs: end < 0 ? [] : argv.slice(end + 1),
  };
}

/** The help text of the EAL's options. */
export function ealUsage(program = "eal"): string {
  let text = "";
  ealYargs(program).showHelp((help) => {
    text = help;
  });
  return text;
}

function ealYargs(program: string) {
  const parser = yargs([])
    .version(false) // yargs' own --version and --help would print and exit
    .help(false)
    .scriptName(program)
    .usage("$0 [EAL options] -- [application options]")
    .parserConfiguration({
      "camel-case-expansion": false,
      "dot-notation": false,
      "boolean-negation": false,
      "parse-numbers": false,
      "parse-positional-numbers": false,
      "duplicate-arguments-array": true,
    })
    .option("lcores", {
      alias: "l",
      type: "string",
      requiresArg: true,
      describe: "lcores and their CPUs: 0-3, 0@0,1@(0-1)",
    })
    .option("coremask", { alias: "c", type: "string", requiresArg: true, describe: "hexadecimal mask of lcores" })
    .option("main-lcore", {
      type: "string",
      requiresArg: true,
      describe: "lcore that runs the console and never polls",
    })
    .option("vdev", {
      type: "string",
      requiresArg: true,
      describe: "add a virtual device: driver[index][,key=value...]",
    })
    .option("file-prefix", {
      type: "string",
      requiresArg: true,
      default: "rte",
      describe: "name of the runtime directory",
    })
    .option("in-memory", { type: "boolean", describe: "no files: no runtime directory, no telemetry" })
    .option("sigbus-guard", { type: "boolean", describe: "survive clients that truncate their memory's file" })
    .option("m", { alias: "memory-size", type: "string", requiresArg: true, describe: "MiB of packet memory" })
    .option("log-level", { type: "string", requiresArg: true, describe: "level, or pattern:level (repeatable)" })
    .option("proc-type", { type: "string", requiresArg: true, describe: "primary is the only one" })
    .option("poll-mode", {
      type: "string",
      requiresArg: true,
      describe: `what lcores do with nothing to do: ${POLL_MODES.join(", ")} (adaptive)`,
    })
    .option("no-huge", { type: "boolean", describe: "memory of ordinary pages, even where huge ones are free" })
    .option("no-telemetry", { type: "boolean", describe: "no telemetry socket" })
    .option("telemetry", { type: "boolean", describe: "telemetry socket (the default)" })
    .option("version", { alias: "v", type: "boolean", describe: "print the version" })
    .option("help", { alias: "h", type: "boolean", describe: "print this text" })
    .exitProcess(false)
    .strict();
  for (const [name, { takesValue, alias }] of Object.entries(IGNORED))
    parser.option(name, { ...(alias && { alias }), type: takesValue ? "string" : "boolean", hidden: true });
  for (const [name, { alias }] of Object.entries(REFUSED))
    parser.option(name, { ...(alias && { alias }), type: "string", hidden: true });
  return parser.wrap(100);
}

type Args = Record<string, unknown>;

function parseStrictly(parser: ReturnType<typeof ealYargs>, argv: string[]): Args {
  let wrong = "";
  const refuse = (message: string | null, error: Error | undefined): void => {
    wrong = message ?? error?.message ?? "wrong arguments";
  };
  const args = parser.fail(refuse).parseSync(argv) as Args & { _: unknown[] };
  wrong = wrong.replace(/^Unknown arguments?: /, (text) => `${text}--`).replaceAll(", ", ", --");
  if (wrong === "" && args._.length > 0) wrong = `Unexpected argument: ${args._.join(" ")}`;
  if (wrong === "") return args;
  const hint = wrong.startsWith("Unknown") ? "; an application's options stand after --" : "";
  throw new EalError("ARG", `${wrong}${hint} (--help lists the EAL's options)`);
}

/** `-l0,1` and `-n4` become two arguments each, which getopt accepts and yargs takes for a group of flags. */
function splitShort(argv: readonly string[]): string[] {
  return argv.flatMap((arg) => (/^-[lcmnrab][^=-]/.test(arg) ? [arg.slice(0, 2), arg.slice(2)] : [arg]));
}

function readLcores(args: Args, cpus: readonly number[]): LcoreSpec[] {
  const asked = single(args, "lcores");
  const mask = single(args, "coremask");
  if (asked !== undefined && mask !== undefined)
    throw new EalError("ARG", "--lcores and --coremask exclude each other; give one of them");
  let lcores = cpus.map((cpu) => ({ id: cpu, cpus: [cpu] }));
  if (asked !== undefined) lcores = parseLcores(asked);
  if (mask !== undefined) lcores = parseCoremask(mask);
  for (const { id, cpus: wanted } of lcores) {
    const missing = wanted.filter((cpu) => !cpus.includes(cpu));
    if (missing.length === 0) continue;
    throw new EalError(
      "ARG",
      `lcore ${id}: CPU ${formatSet(missing)} does not exist or is not allowed; this process may use ${formatSet(cpus)}` +
        ` (several lcores may share a CPU: --lcores 0@0,1@0)`,
    );
  }
  return lcores;
}

function readMainLcore(text: unknown, lcores: readonly LcoreSpec[]): number {
  if (text === undefined) return lcores[0]!.id;
  const id = Number(text);
  if (!lcores.some((lcore) => lcore.id === id))
    throw new EalError("ARG", `--main-lcore ${text}: not one of the lcores ${formatSet(lcores.map((l) => l.id))}`);
  return id;
}

function readPrefix(prefix: string): string {
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/.test(prefix))
    throw new EalError("ARG", `--file-prefix '${prefix}': expected up to 64 letters, digits, '.', '_' or '-'`);
  return prefix;
}

function readPollMode(text: string | undefined): PollMode {
  const mode = POLL_MODES.find((name) => name === (text ?? "adaptive"));
  if (mode === undefined) throw new EalError("ARG", `--poll-mode ${text}: expected one of ${POLL_MODES.join(", ")}`);
  return mode;
}

function readMemory(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const mib = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (mib < MIB_ARENA_MIN || mib > MIB_ARENA_MAX)
    throw new EalError("ARG", `-m ${text}: expected MiB from ${MIB_ARENA_MIN} to ${MIB_ARENA_MAX}`);
  return mib * 1024 * 1024;
}

function readOthers(args: Args): { option: string; why: string }[] {
  const type = single(args, "proc-type");
  if (type !== undefined && type !== "primary" && type !== "auto")
    throw new EalError("ARG", `--proc-type ${type}: only primary processes exist here`);
  for (const [name, { why }] of Object.entries(REFUSED))
    if (args[name] !== undefined) throw new EalError("ARG", `--${name} is not supported: ${why}`);
  return Object.entries(IGNORED)
    .filter(([name]) => args[name] !== undefined)
    .map(([name, { why }]) => ({ option: `--${name}`, why }));
}

function single(args: Args, name: string): string | undefined {
  const value = args[name] as string | string[] | undefined;
  if (Array.isArray(value)) throw new EalError("ARG", `--${name} is given ${value.length} times; give it once`);
  return value;
}

function list(value: unknown): string[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? (value as string[]) : [value as string];
}
