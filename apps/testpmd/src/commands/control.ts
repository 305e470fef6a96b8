// Commands that drive the application: help, start, stop, quit, load.
import { PmdError } from "../errors.ts";
import type { Pmd } from "../pmd.ts";
import type { Command, Section } from "./parser.ts";

export const CONTROL: Section = {
  name: "control",
  title: "Control forwarding",
  commands: [
    { syntax: "start", help: "start packet forwarding", run: (pmd) => pmd.startForwarding() },
    {
      syntax: "start tx_first [<uint:bursts>]",
      help: "send bursts of made packets first, one by default",
      run: (pmd, args) => pmd.startForwarding((args.bursts as number | undefined) ?? 1),
    },
    { syntax: "stop", help: "stop packet forwarding and show its statistics", run: (pmd) => pmd.stopForwarding() },
    { syntax: "load <file>", help: "run the commands of a file", run: (pmd, args) => pmd.load(args.file as string) },
    { syntax: "quit", help: "end testpmd", run: (pmd) => pmd.quit() },
  ],
};

/** The help command, which needs to know all the others. */
export function helpCommand(sections: () => readonly Section[]): Command {
  return {
    syntax: "help [<section>]",
    help: "list the commands",
    run: (pmd, args) => help(pmd, sections(), args.section as string | undefined),
  };
}

function help(pmd: Pmd, sections: readonly Section[], wanted: string | undefined): void {
  const names = sections.map((section) => section.name);
  if (wanted !== undefined && wanted !== "all" && !names.includes(wanted))
    throw new PmdError("COMMAND", `No help on '${wanted}'; there is help on ${names.join(", ")} and all`);
  for (const { name, title, commands } of sections) {
    if (wanted !== undefined && wanted !== "all" && wanted !== name) continue;
    const width = Math.max(...commands.map(({ syntax }) => syntax.length));
    const lines = commands.map((command) => `  ${command.syntax.padEnd(width)}  ${command.help}`);
    pmd.out(`\n${title} (help ${name}):\n${lines.join("\n")}\n`);
  }
}
