// Console lines against the table of commands: which command a line is, what is wrong with one that is none, and what Tab
// completes. Commands are tried in the table's order; the one that matches the most tokens explains the error.
import { PmdError } from "../errors.ts";
import type { Pmd } from "../pmd.ts";
import { compile, type Node, type World } from "./grammar.ts";

/** The arguments of a command, by their labels. */
export type Args = Readonly<Record<string, unknown>>;

/** A line of the table. */
export interface Command {
  syntax: string;
  help: string;
  run(pmd: Pmd, args: Args): Promise<void> | void;
}

/** Commands of one family, as the help shows them. */
export interface Section {
  name: string;
  title: string;
  commands: readonly Command[];
}

interface Compiled {
  command: Command;
  nodes: Node[];
}

export class Parser {
  readonly #commands: Compiled[];

  constructor(sections: readonly Section[]) {
    this.#commands = sections
      .flatMap((section) => section.commands)
      .map((command) => ({ command, nodes: compile(command.syntax) }));
  }

  /**
   * Finds the command of a line.
   * @returns null for an empty line or a comment (#)
   * @throws PmdError COMMAND saying what was expected
   */
  parse(line: string): { command: Command; args: Args } | null {
    const tokens = split(line);
    if (tokens.length === 0) return null;
    let best = 0;
    for (const { command, nodes } of this.#commands) {
      const { matched, args } = match(nodes, tokens);
      if (args !== undefined) return { command, args };
      best = Math.max(best, matched);
    }
    if (best === 0) throw new PmdError("COMMAND", `Command not found: ${tokens[0]} (see 'help')`);
    const near = this.#commands.filter(({ nodes }) => match(nodes, tokens).matched === best);
    const looks = [...new Set(near.map(({ nodes }) => nodes[best]?.looks ?? "the end of the line"))];
    const usage = near.map(({ command }) => `  ${command.syntax}`).join("\n");
    const where = best < tokens.length ? `at '${tokens[best]}'` : "the line is not complete";
    const expected = looks.length <= 3 ? `, expected ${looks.join(" or ")}` : "";
    throw new PmdError("COMMAND", `Bad arguments: ${where}${expected}; usage:\n${usage}`);
  }

  /** What could stand at the end of a line: the candidates and the part of a word that they complete. */
  complete(line: string, world: World): [candidates: string[], partial: string] {
    const tokens = split(line);
    const partial = /\s$/.test(line) || line === "" ? "" : (tokens.pop() ?? "");
    const candidates = new Set<string>();
    for (const { nodes } of this.#commands) {
      const node = nodes[tokens.length];
      if (node === undefined || match(nodes.slice(0, tokens.length), tokens).args === undefined) continue;
      const choices = node.name === "file" ? world.files(partial) : node.choices(world);
      for (const choice of choices) if (choice.startsWith(partial)) candidates.add(choice);
    }
    const list = [...candidates];
    // A word that is complete is followed by a blank, so that the next Tab goes on.
    return [list.length === 1 && !list[0]!.endsWith("/") ? [`${list[0]} `] : list, partial];
  }
}

function split(line: string): string[] {
  const text = line.trim();
  return text === "" || text.startsWith("#") ? [] : text.split(/\s+/);
}

/** Matches tokens one by one; `args` only when all of them fit and nothing that is needed is missing. */
function match(nodes: readonly Node[], tokens: readonly string[]): { matched: number; args?: Args } {
  const args: Record<string, unknown> = {};
  let matched = 0;
  for (const node of nodes) {
    if (matched === tokens.length) return node.optional ? { matched, args } : { matched };
    const value = node.read(node.rest ? tokens.slice(matched).join(" ") : tokens[matched]!);
    if (value === undefined) return { matched };
    args[node.name] = value;
    matched = node.rest ? tokens.length : matched + 1;
  }
  return matched === tokens.length ? { matched, args } : { matched };
}
