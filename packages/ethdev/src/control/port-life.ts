// What a port is at the moment, and the one operation that is changing that: the table of states.ts put to work. Used by
// eth-dev.ts.
import { EthDevError } from "../errors.ts";
import { adviceFor, nextState, type PortEvent, type PortState } from "./states.ts";

export class PortLife {
  readonly #where: string;
  #state: PortState = "unconfigured";
  #busy: PortEvent | undefined;
  /** Settles with what is under way. */
  #under: Promise<void> = Promise.resolve();

  /** @param where the port's name in messages */
  constructor(where: string) {
    this.#where = where;
  }

  get state(): PortState {
    return this.#state;
  }

  /** Runs an event's effect and takes the state that follows; the state stays when the effect fails. */
  async transit(event: PortEvent, effect: () => Promise<void>): Promise<void> {
    const next = nextState(this.#state, event);
    if (next === undefined) {
      const code = this.#state === "closed" ? "NODEV" : "STATE";
      throw new EthDevError(code, `${this.#where}: cannot ${event} now; ${adviceFor(this.#state, event)}`);
    }
    if (next === null) return;
    if (this.#busy !== undefined)
      throw new EthDevError("BUSY", `${this.#where}: cannot ${event} while ${this.#busy} is under way`);
    this.#busy = event;
    try {
      const done = effect();
      this.#under = done.catch(() => {});
      await done;
      this.#state = next;
    } finally {
      this.#busy = undefined;
    }
  }

  /**
   * Resolves when nothing is under way.
   * @param abandon has the driver give up what waits for its device
   */
  async callOff(abandon: () => void): Promise<void> {
    if (this.#busy === "close" || this.#state === "closed") return;
    abandon();
    await this.#under;
  }
}
