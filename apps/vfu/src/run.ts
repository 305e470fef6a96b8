// The whole application as a function of its command line and its subcommands: yargs takes the line apart, the command does
// its work, and every way to fail becomes one line on standard error and an exit status (errors.ts). Called by main.ts.
import yargs from "yargs";
import type { Command, CommonOptions, Context } from "./command.ts";
import { complaint } from "./complaint.ts";
import { useNames } from "./devices.ts";
import { reason, STATUS, usage, VfuError } from "./errors.ts";
import { namedDevice } from "./names-file.ts";
import { StandardOutput } from "./output.ts";

const FOOT = [
  "Exit status: 0 done; 1 the device or its server refused, or a check failed; 2 wrong command line;",
  "3 no vfio-user server answers at the socket; 4 another client has the device.",
].join("\n");

/** Runs one command to its end; sets the process's exit status. @param argv the arguments without node and script */
export async function run(argv: readonly string[], commands: readonly Command[]): Promise<void> {
  const ending = new AbortController();
  const out = new StandardOutput(process.stdout, () => ending.abort());
  const context: Context = { out, signal: ending.signal, warn: (text) => process.stderr.write(`vfu: ${text}\n`) };
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => ending.abort());
  process.exitCode = await perform(argv, commands, context);
}

/** The same in surroundings of the caller's. @returns the exit status */
export async function perform(
  argv: readonly string[],
  commands: readonly Command[],
  context: Context,
): Promise<number> {
  try {
    const chosen = await parse(argv, commands);
    if (typeof chosen !== "string") useNames(chosen.names === undefined ? null : namedDevice(chosen.names));
    if (typeof chosen !== "string") return await chosen.command.run(chosen.options, context);
    context.out.line(chosen);
    return 0;
  } catch (error) {
    context.warn(error instanceof VfuError ? error.message : oneLine(error));
    return error instanceof VfuError ? STATUS[error.code] : 1;
  }
}

/** The command that was asked for with its options, or the text of --help or --version. */
async function parse(
  argv: readonly string[],
  commands: readonly Command[],
): Promise<string | { command: Command; options: unknown; names: string | undefined }> {
  let chosen: { command: Command; options: unknown } | null = null;
  const parser = yargs([])
    .scriptName("vfu")
    .usage("$0 <command> SOCKET\n\nLooks at a vfio-user device without a hypervisor.")
    .option("json", { type: "boolean", default: false, global: true, describe: "print JSON instead of text" })
    .option("timeout", { type: "number", default: 5000, global: true, describe: "milliseconds to wait for a reply" })
    .option("names", {
      type: "string",
      global: true,
      requiresArg: true,
      describe: "JSON file of register names: see README",
    })
    .demandCommand(1, "which command? vfu --help lists them")
    .strict()
    .epilogue(FOOT)
    .wrap(110)
    .fail((message, error) => {
      throw error ?? usage(complaint(message, argv, commands));
    })
    .exitProcess(false);
  for (const command of commands) {
    parser.command(
      command.command,
      command.describe,
      (sub) => command.options(sub as never) as never,
      (options) => {
        chosen = { command, options };
      },
    );
  }
  let text = "";
  const args = await parser.parseAsync([...argv], {}, (_error, _args, output) => {
    text = output;
  });
  if (text !== "") return text;
  const { timeout, names } = args as unknown as CommonOptions;
  if (!(timeout >= 1 && timeout <= 86_400_000))
    throw usage(`--timeout ${written(argv, "timeout")}: expected milliseconds, 1 or more`);
  if (chosen === null) throw usage("which command? vfu --help lists them");
  return Object.assign(chosen, { names });
}

/** An option as it was written: yargs makes NaN of what is no number. */
function written(argv: readonly string[], name: string): string {
  const at = argv.findIndex((word) => word === `--${name}` || word.startsWith(`--${name}=`));
  return argv[at]?.split("=", 2)[1] ?? argv[at + 1] ?? "";
}

/** What nobody foresaw, without its stack: VFU_DEBUG=1 in the environment shows that. */
function oneLine(error: unknown): string {
  if (process.env.VFU_DEBUG === "1" && error instanceof Error) return error.stack ?? error.message;
  return reason(error).split("\n", 1)[0] ?? "";
}
