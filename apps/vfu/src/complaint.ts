// What is wrong with a command line, in words that say what to type instead: yargs' own messages name neither the command nor its
// arguments. Called by run.ts.
import type { Command } from "./command.ts";

/** @param message yargs' own; @param argv the command line */
export function complaint(message: string, argv: readonly string[], commands: readonly Command[]): string {
  const names = commands.map(({ command }) => command.split(" ", 1)[0]!);
  const words = argv.filter((word) => !word.startsWith("-"));
  const command = commands.find((_, i) => names[i] === words[0])?.command;
  if (command === undefined && words.length > 0) return `there is no command '${words[0]}': ${names.join(", ")}`;
  const how = command === undefined ? "" : `; usage: vfu ${command.replaceAll(/<(\w+)>|\[(\w+)\]/g, shown)}`;
  if (/^Not enough non-option arguments/.test(message)) return `arguments are missing${how}`;
  const invalid = /Argument: (\S+), Given: (.*), Choices: (.*)/.exec(message);
  if (invalid !== null)
    return `--${invalid[1]} ${JSON.parse(invalid[2]!)}: expected ${invalid[3]!.replaceAll('"', "")}`;
  const unknown = /^Unknown arguments?: (.*)$/.exec(message);
  if (unknown !== null) {
    const wrong = unknown[1]!.split(", ").map((word) => (argv.includes(`--${word}`) ? `--${word}` : word));
    return `${wrong.join(", ")}: not known here${how}${how === "" ? "" : ", options: --help"}`;
  }
  return message.split("\n").join("; ");
}

const shown = (_text: string, needed: string | undefined, optional: string): string =>
  needed === undefined ? `[${optional.toUpperCase()}]` : needed.toUpperCase();
