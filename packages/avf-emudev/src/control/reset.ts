// Carries resets out over the table of states.ts. A reset that overtakes another (the client leaves in the middle of RESET_VF)
// takes over: what the earlier one still waits for no longer counts. Nothing is put back to its initial value before the
// backend has let go of the queues.
import { type Event, next, RESET_MS, rstat, type State } from "./states.ts";

const SETTLE_MS = 2;

export interface ResetEffects {
  /** At once: nothing new begins. `hard`: as after power-on, otherwise by the driver's RESET_VF. */
  begin(hard: boolean): void;
  /** Resolves when the backend has let go of every queue. */
  quiesce(): Promise<void>;
  /** Registers and settings get their initial values. */
  finish(hard: boolean): void;
  /** The function works again. */
  end(hard: boolean): void;
}

export class ResetControl {
  readonly #effects: ResetEffects;
  #state: State = "active";
  /** Numbers the resets; only the newest may finish. */
  #newest = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(effects: ResetEffects) {
    this.#effects = effects;
  }

  get state(): State {
    return this.#state;
  }

  get rstat(): number {
    return rstat(this.#state);
  }

  /** Resolves when no reset is under way. */
  async settled(): Promise<void> {
    while (this.#state !== "active") await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  }

  /** The driver's RESET_VF. Resolves when it has begun; drivers watch VFGEN_RSTAT for its end. */
  vfReset(): void {
    if (!this.#enter("vfReset")) return;
    const number = ++this.#newest;
    this.#effects.begin(false);
    const elapsed = new Promise<void>((done) => {
      this.#timer = setTimeout(done, RESET_MS);
    });
    void Promise.all([this.#effects.quiesce(), elapsed]).then(() => this.#done(number, false));
  }

  /** DEVICE_RESET, a function level reset, or a client that left. Resolves when nobody touches its memory any more. */
  async deviceReset(): Promise<void> {
    this.#enter("deviceReset");
    if (this.#timer !== null) clearTimeout(this.#timer);
    const number = ++this.#newest;
    this.#effects.begin(true);
    await this.#effects.quiesce();
    this.#done(number, true);
  }

  #done(number: number, hard: boolean): void {
    if (number !== this.#newest) return;
    this.#effects.finish(hard);
    this.#enter("done");
    this.#effects.end(hard);
  }

  #enter(event: Event): boolean {
    const to = next(this.#state, event);
    if (to !== null) this.#state = to;
    return to !== null;
  }
}
