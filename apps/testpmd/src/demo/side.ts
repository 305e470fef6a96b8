// The parent's end of one child process: starts it, asks it, and is sure to end it.
import { type ChildProcess, fork } from "node:child_process";
import type { Answer, Command, Counts, Setup, Side } from "./messages.ts";

const QUIT_MS = 3000;

export class SideProcess {
  readonly side: Side;
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;
  readonly #reports = new Map<number, (counts: Counts) => void>();
  /** Rejects when the process fails or ends before it was told to. */
  readonly failed: Promise<never>;
  #fail: (error: Error) => void = () => {};
  #ready: (answer: { mac: string }) => void = () => {};
  #loaded: () => void = () => {};
  #reportId = 0;
  #quitting = false;

  /** @param onEvent sentences that the child has to say */
  constructor(setup: Setup, onEvent: (text: string) => void) {
    this.side = setup.side;
    this.failed = new Promise((_, reject) => {
      this.#fail = reject;
    });
    this.failed.catch(() => {});
    this.#child = fork(new URL("./child.js", import.meta.url), [], { stdio: ["ignore", 2, 2, "ipc"] });
    this.#exited = new Promise((resolve) => {
      this.#child.once("exit", (code, signal) => {
        if (!this.#quitting) this.#fail(new Error(`the ${this.side}'s process ended (${signal ?? `code ${code}`})`));
        resolve();
      });
    });
    this.#child.on("error", (error) => this.#fail(error));
    this.#child.on("message", (answer: Answer) => {
      if (answer.type === "loaded") this.#loaded();
      else if (answer.type === "ready") this.#ready(answer);
      else if (answer.type === "event") onEvent(answer.text);
      else if (answer.type === "failed") this.#fail(new Error(`${this.side}: ${answer.text}`));
      else {
        this.#reports.get(answer.id)?.(answer.counts);
        this.#reports.delete(answer.id);
      }
    });
    this.#tell(setup);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Resolves when the process has loaded its modules. */
  readonly loaded = new Promise<void>((resolve) => {
    this.#loaded = resolve;
  });

  /** Brings environment and port up; resolves when the port has started, rejects when the process fails. */
  up(): Promise<{ mac: string }> {
    const ready = new Promise<{ mac: string }>((resolve) => {
      this.#ready = resolve;
    });
    this.#tell({ type: "up" });
    return Promise.race([ready, this.failed]);
  }

  send(on: boolean): void {
    this.#tell({ type: "send", on });
  }

  report(): Promise<Counts> {
    const id = this.#reportId++;
    const counts = new Promise<Counts>((resolve) => {
      this.#reports.set(id, resolve);
    });
    this.#tell({ type: "report", id });
    return Promise.race([counts, this.failed]);
  }

  /** Ends the process, by force when it does not end by itself. Never rejects. */
  async quit(): Promise<void> {
    this.#quitting = true;
    this.#tell({ type: "quit" });
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), QUIT_MS);
    await this.#exited;
    clearTimeout(timer);
  }

  /** Ends the process at once. */
  kill(): void {
    this.#quitting = true;
    this.#child.kill("SIGKILL");
  }

  #tell(command: Command): void {
    if (this.#child.connected) this.#child.send(command, () => {});
  }
}
