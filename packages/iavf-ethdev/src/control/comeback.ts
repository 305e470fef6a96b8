// The way back of a device whose connection was lost: lets go of the old connection once no burst uses it, looks for a server
// (reconnect.ts), takes the device up behind it (resume.ts), as often as it takes. Made by session.ts for each loss; the states
// are the session's.
import type { Device } from "./device.ts";
import { IavfError, reasonOf } from "./errors.ts";
import { reconnect } from "./reconnect.ts";
import { type Restorer, takeUp, type Wishes } from "./resume.ts";
import type { Event, State } from "./state.ts";
import type { Transport } from "./transport.ts";

export type How = "resumed" | "recovered";

export interface ComebackHost {
  readonly device: Device;
  readonly wishes: Wishes;
  readonly port: Restorer;
  readonly signal: AbortSignal;
  state(): State;
  /** @throws IavfError STATE */
  enter(event: Event): void;
  connect(signal: AbortSignal): Promise<Transport>;
  /** It was lost once more while it was taken up: bursts and requests are to be kept out as before. */
  lostAgain(): void;
  /** The device is back, with this state. */
  back(how: How, event: Event): void;
}

export class Comeback {
  readonly #host: ComebackHost;
  readonly #since = performance.now();
  /** Doorbell pages were mapped: lcores that store tails themselves look for nothing else. */
  readonly #mapped: boolean;
  #attempts = 0;
  #why = "";

  constructor(host: ComebackHost) {
    this.#host = host;
    this.#mapped = host.device.transport.doorbells.mapped;
  }

  /** For people. */
  get text(): string {
    const seconds = ((performance.now() - this.#since) / 1000).toFixed(1);
    const why = this.#why === "" ? "" : `; ${this.#why}`;
    return `${this.#host.state()} for ${seconds} s, ${this.#attempts} attempts${why}`;
  }

  /** Resolves when the device is back or the signal was aborted. @throws when it is there and cannot be used */
  async run(): Promise<void> {
    const { device, signal, connect, state } = this.#host;
    await this.#release(device.transport);
    await reconnect({
      name: device.name,
      log: device.log,
      signal,
      connect: () => connect(signal),
      takeUp: (transport) => this.#takeUp(transport),
      release: (transport) => this.#release(transport),
      isFinal: (error) => state() === "resuming" && device.transport.client.open && isHopeless(error),
      failed: (attempts, error) => {
        this.#attempts = attempts;
        this.#why = reasonOf(error);
      },
    });
  }

  async #takeUp(transport: Transport): Promise<void> {
    const { device, wishes, port, enter, back } = this.#host;
    if (this.#mapped && !transport.doorbells.mapped)
      throw new IavfError("DEVICE", `the server does not lend its doorbell pages as it did before`);
    enter("connected");
    device.transport = transport;
    const how = await takeUp(device, wishes, port);
    if (!transport.client.open) throw new IavfError("GONE", "the connection was lost again");
    if (wishes.configuring) back(how, how === "resumed" ? "configuring" : "opened");
    else back(how, wishes.plan === null ? "opened" : "started");
  }

  async #release(transport: Transport): Promise<void> {
    const { state, enter, lostAgain, device } = this.#host;
    if (state() === "resuming") {
      enter("cut");
      lostAgain();
    }
    await device.eal.synchronize(); // no burst uses its doorbells any more
    transport.close();
  }
}

/** What the device says no to once, it says no to again; what it does not answer, another connection may mend. */
function isHopeless(error: unknown): boolean {
  return error instanceof IavfError && ["REFUSED", "DEVICE", "PROTOCOL", "ARG"].includes(error.code);
}
