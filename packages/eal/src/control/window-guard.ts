// What follows when the file behind a window of the arena was truncated and the SIGBUS guard has put zero memory in its place
// (`--sigbus-guard`): a sentence in the log, and a call to the drivers, who know whose memory it was and send that client
// away. The handler can only count, so the counts are looked at a few times a second. Made by init.ts.
import { sigbusGuard } from "@emudev/linux";
import type { Arena, Range } from "@emudev/shm";
import type { Logger } from "./log.ts";

const LOOK_MS = 100;

export class WindowGuard {
  readonly #arena: Arena;
  readonly #log: Logger;
  readonly #listeners: ((window: Range) => void)[] = [];
  #timer: NodeJS.Timeout | null = null;

  constructor(arena: Arena, log: Logger) {
    this.#arena = arena;
    this.#log = log;
  }

  /** Installs the guard. @throws LinuxError where the machine has none */
  start(): void {
    this.#arena.guardWindows(sigbusGuard());
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
    this.#timer.unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  /** @returns what takes the listener away again */
  onLost(listener: (window: Range) => void): () => void {
    this.#listeners.push(listener);
    return () => {
      this.#listeners.splice(this.#listeners.indexOf(listener), 1);
    };
  }

  #look(): void {
    for (const window of this.#arena.lostWindows()) {
      const { off, bytes } = window;
      const where = `the window of ${bytes} bytes at arena offset 0x${off.toString(16)}`;
      this.#log.warning(`the file behind ${where} was truncated by its owner; it reads 0 now`);
      for (const listener of [...this.#listeners]) listener(window);
    }
  }
}
