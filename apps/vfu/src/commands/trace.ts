// `vfu trace`: a proxy that shows every message between a client and a server, decoded; or, with --read, what one showed before.
import { command } from "../command.ts";
import { usage } from "../errors.ts";
import { filterOf, unknownNames } from "../trace/filter.ts";
import { traceFile, traceSocket } from "../trace/run.ts";
import type { Format } from "../trace/sink.ts";

const FORMATS: readonly Format[] = ["text", "json", "pcapng"];
const HEX_MOST = 1 << 20;

export const trace = command({
  command: "trace [listen] [server]",
  describe: "stands between clients and a server and shows their messages",
  options: (yargs) =>
    yargs
      .positional("listen", { type: "string", describe: "socket to make, for clients to connect to" })
      .positional("server", { type: "string", describe: "the server's unix socket" })
      .option("trap", {
        type: "boolean",
        default: false,
        describe: "let nothing be mapped, so that every access shows",
      })
      .option("format", { choices: FORMATS, describe: "of what is printed" })
      .option("write", { type: "string", requiresArg: true, describe: "write a pcapng file as well" })
      .option("read", { type: "string", requiresArg: true, describe: "print a pcapng file instead" })
      .option("only", {
        type: "string",
        requiresArg: true,
        describe: "commands, regions, registers, errors ...: see README",
      })
      .option("hex", { type: "number", default: 16, requiresArg: true, describe: "bytes of data to show" }),
  async run({ listen, server, trap, format, write, read, only, hex, json }, context) {
    if (!(Number.isInteger(hex) && hex >= 0 && hex <= HEX_MOST)) throw usage(`--hex: expected 0 to ${HEX_MOST} bytes`);
    const printed = format ?? (json ? "json" : "text");
    if (printed === "pcapng" && process.stdout.isTTY) throw usage("pcapng is for a pipe or a file: use --write FILE");
    const colour = printed === "text" && process.stdout.isTTY === true && !process.env.NO_COLOR;
    const options = { format: printed, write, filter: filterOf(only), colour, hex };
    for (const name of unknownNames(only))
      context.warn(`--only ${name}: no command, region or known register has that name`);
    if (read !== undefined) {
      if (listen !== undefined) throw usage("--read takes no sockets");
      if (read === write) throw usage("--read and --write name the same file");
      return traceFile(read, options, context);
    }
    if (listen === undefined || server === undefined) throw usage("which sockets? vfu trace LISTEN SERVER");
    if (listen === server) throw usage("LISTEN and SERVER are the same socket");
    return traceSocket({ listen, server, trap }, options, context);
  },
});
