// `vfu shell`: several commands over one connection, so that what is written stays, interrupts come, and the device can be lent memory:
// at the terminal, from standard input, or from --command. A script ends at its first failure, with its status.
import { createInterface } from "node:readline";
import { VfioUserError } from "@emudev/vfio-user";
import { type Context, command, withSocket } from "../command.ts";
import { reason, usage, VfuError } from "../errors.ts";
import { Session } from "../shell/session.ts";
import { isQuit, runLine } from "../shell/table.ts";
import { recognise, withTarget } from "../target.ts";

export const shell = command({
  command: "shell <socket>",
  describe: "commands over one connection: registers, interrupts, memory for the device; from the terminal or a script",
  options: (yargs) =>
    withSocket(yargs).option("command", {
      alias: "c",
      type: "string",
      describe: "run these, with ; between them: -c 'irqs; write bar0 4 1; wait; read bar0 8'",
    }),
  run: (args, context) =>
    withTarget(args, context, async ({ client }) => {
      if (args.command === "") throw usage("--command is empty");
      const session = new Session(client, await recognise(client), context, args);
      const isTerminal = args.command === undefined && process.stdin.isTTY === true;
      const lines = args.command?.split(/[;\n]/) ?? input(context, isTerminal);
      client.onClose(() => {
        if (isTerminal) process.stdin.destroy();
      });
      try {
        for await (const line of lines) {
          if (isQuit(line) || context.signal.aborted) break;
          try {
            await runLine(session, line);
          } catch (error) {
            if (!isTerminal) throw at(line, error);
            if (!client.open) throw error;
            context.warn(reason(error));
          }
        }
      } finally {
        await session.end();
      }
      return 0;
    }),
});

/** In a script it is good to know where. */
function at(line: string, error: unknown): unknown {
  const code = error instanceof VfuError ? error.code : "TARGET";
  if (!(error instanceof VfuError || error instanceof VfioUserError)) return error;
  return new VfuError(code, `at '${line.trim()}': ${reason(error)}`, { cause: error });
}

/** Lines of standard input; with a prompt and history at a terminal, where ^C and ^D end it. */
async function* input({ signal }: Context, isTerminal: boolean): AsyncGenerator<string> {
  const output = isTerminal ? { output: process.stdout } : {};
  const reader = createInterface({ input: process.stdin, ...output, prompt: "vfu> ", terminal: isTerminal });
  reader.on("SIGINT", () => reader.close());
  signal.addEventListener("abort", () => reader.close(), { once: true });
  if (isTerminal) reader.prompt();
  for await (const line of reader) {
    yield line;
    if (isTerminal) reader.prompt();
  }
}
