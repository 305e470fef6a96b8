// The console: lines from a terminal (with history and completion by Tab), from a pipe, or from a file, run one after
// another as commands. At the end of the input the application ends. Made by main.ts for -i; files are also read for
// `load` and --cmdline-file.
import { readdirSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import type { World } from "../commands/grammar.ts";
import { PARSER, SECTIONS } from "../commands/index.ts";
import { PmdError, reason } from "../errors.ts";
import type { Pmd } from "../pmd.ts";

const PROMPT = "testpmd> ";
const COMMAND_MS = 3000; // that a command may take when the application ends
const LOAD_DEPTH = 16; // files that load files

export class Console {
  readonly #pmd: Pmd;
  readonly #terminal = process.stdin.isTTY === true && process.stdout.isTTY === true;
  readonly #ended: (cause: "eof" | "signal") => void;
  #lines: Interface | undefined;
  #last: Promise<void> = Promise.resolve();
  #depth = 0;
  #busy = false;
  #closed = false;

  /** @param ended called when the input ends, or when ^C is typed at a terminal in raw mode, which sends no signal */
  constructor(pmd: Pmd, ended: (cause: "eof" | "signal") => void) {
    this.#pmd = pmd;
    this.#ended = ended;
    pmd.load = (path) => this.load(path);
  }

  /** Begins to read commands. */
  open(): void {
    const lines = createInterface({
      input: process.stdin,
      output: this.#terminal ? process.stdout : undefined,
      terminal: this.#terminal,
      prompt: PROMPT,
      historySize: 1000,
      removeHistoryDuplicates: true,
      completer: (line: string) => PARSER.complete(line, this.#world()),
    });
    this.#lines = lines;
    lines.on("line", (line) => this.#take(line));
    lines.on("close", () => {
      this.#closed = true;
      this.#last.then(() => this.#ended("eof"));
    });
    lines.on("SIGINT", () => this.#ended("signal"));
    this.#prompt();
  }

  /** Stops reading; a terminal gets its mode back. Resolves when the command that runs has ended, or after a while. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#lines?.close();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, COMMAND_MS);
    });
    await Promise.race([this.#last, late]);
    clearTimeout(timer);
  }

  /**
   * Prints what comes while a line is being typed: above it, and the line again below.
   * @returns false when no line is being typed
   */
  interrupt(text: string): boolean {
    if (this.#lines === undefined || !this.#terminal || this.#closed || this.#busy || this.#pmd.quitting) return false;
    process.stdout.write(`\r\x1b[K${text}`);
    this.#lines.prompt(true);
    return true;
  }

  /**
   * Runs the commands of a file.
   * @param echo print each line before it is run
   * @throws PmdError COMMAND when the file cannot be read
   */
  async load(path: string, echo = true): Promise<void> {
    if (this.#depth >= LOAD_DEPTH) throw new PmdError("COMMAND", `${path}: files load each other without end`);
    let text: string;
    try {
      text = readFileSync(path, "utf8");
    } catch (error) {
      throw new PmdError("COMMAND", `Cannot read ${path}: ${reason(error)}`, { cause: error });
    }
    this.#depth++;
    try {
      for (const line of text.split("\n")) {
        if (this.#pmd.quitting) return;
        if (echo && line.trim() !== "") this.#pmd.out(`${PROMPT}${line}\n`);
        await this.#run(line);
      }
    } finally {
      this.#depth--;
    }
    this.#pmd.out(`Read CLI commands from ${path}\n`);
  }

  #take(line: string): void {
    this.#busy = true;
    this.#last = this.#last.then(async () => {
      if (this.#pmd.quitting) return;
      if (!this.#terminal) this.#pmd.out(`${line}\n`);
      await this.#run(line);
      this.#busy = false;
      if (!this.#pmd.quitting) this.#prompt();
    });
  }

  async #run(line: string): Promise<void> {
    try {
      const found = PARSER.parse(line);
      await found?.command.run(this.#pmd, found.args);
    } catch (error) {
      this.#pmd.out(`${reason(error)}\n`);
    }
  }

  #prompt(): void {
    if (!this.#terminal) this.#pmd.out(PROMPT);
    else if (!this.#closed) this.#lines!.prompt();
  }

  #world(): World {
    return {
      portIds: () => this.#pmd.ports.all().map((dev) => dev.portId),
      sections: () => [...SECTIONS.map((section) => section.name), "all"],
      files: completeFile,
    };
  }
}

/** Files and folders that a path may become. */
function completeFile(prefix: string): string[] {
  const folder = prefix.endsWith("/") ? prefix : dirname(prefix);
  const start = prefix.endsWith("/") ? "" : basename(prefix);
  try {
    return readdirSync(folder)
      .filter((name) => name.startsWith(start))
      .map((name) => {
        const path = folder === "." && !prefix.startsWith("./") ? name : join(folder, name);
        return statSync(path).isDirectory() ? `${path}/` : path;
      });
  } catch {
    return [];
  }
}
