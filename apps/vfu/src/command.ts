// What a subcommand is to run.ts: its words for yargs, its options, and what it does. Each file of commands/ exports one;
// commands/index.ts lists them. A command gets its surroundings as an argument and returns the exit status.
import type { Argv } from "yargs";
import type { Output } from "./output.ts";

export interface Context {
  out: Output;
  /** Aborted by SIGINT, SIGTERM, or when nobody reads the output any more. */
  signal: AbortSignal;
  /** A line on standard error, behind "vfu: ". */
  warn(text: string): void;
}

export interface CommonOptions {
  json: boolean;
  /** For each reply of a server. */
  timeout: number;
  /** A file of register names. */
  names?: string | undefined;
}

export interface Command<Options = unknown> {
  /** As yargs reads it: "reset <socket>". */
  readonly command: string;
  readonly describe: string;
  options(yargs: Argv<CommonOptions>): Argv<Options>;
  run(args: Options, context: Context): Promise<number>;
}

/** Gives `run` the type of its options; a command on its way into a list loses it. */
export function command<Options>(spec: Command<Options>): Command {
  return spec as Command;
}

/** The argument that nearly all commands have. */
export function withSocket<T>(yargs: Argv<T>) {
  return yargs.positional("socket", {
    type: "string",
    demandOption: true,
    describe: "the server's unix socket",
  });
}
