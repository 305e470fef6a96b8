// Asynchronous events: a driver leaves a few requests with the controller, each of which is completed when something has
// happened (NVM Express Base Specification 1.4, 5.2). After an event of a type no further one is told until the driver has
// read the log page that the event names. engine.ts posts the completions.

/** Requests that may be held; IDENTIFY tells it as AERL, one less. */
export const EVENT_REQUESTS = 4;
/** Events that wait for a request; more of them would say nothing new. */
const MAX_WAITING = 8;

export const EVENT = {
  INVALID_DOORBELL: { type: 0, info: 0x00, page: 1 },
  INVALID_DOORBELL_VALUE: { type: 0, info: 0x01, page: 1 },
} as const;

export interface Event {
  type: number;
  info: number;
  /** Log page with the details; reading it lets the next event of the type through. */
  page: number;
}

export class Events {
  /** Command ids of the requests that are held, oldest first. */
  readonly #requests: number[] = [];
  #waiting: Event[] = [];
  /** Types that were told and not looked into. */
  readonly #told = new Set<number>();

  /** False when too many are held. */
  hold(command: number): boolean {
    if (this.#requests.length >= EVENT_REQUESTS) return false;
    this.#requests.push(command);
    return true;
  }

  /** Takes back a request that is to be aborted. */
  withdraw(command: number): boolean {
    const at = this.#requests.indexOf(command);
    if (at >= 0) this.#requests.splice(at, 1);
    return at >= 0;
  }

  happened(event: Event): void {
    const known = this.#waiting.some(({ type, info }) => type === event.type && info === event.info);
    if (!known && this.#waiting.length < MAX_WAITING) this.#waiting.push(event);
  }

  /** The driver has read a log page. */
  looked(page: number): void {
    for (const { type, page: own } of Object.values(EVENT)) if (own === page) this.#told.delete(type);
  }

  /** A request with what to answer it with (double word 0 of the completion), or null. */
  next(): { command: number; result: number } | null {
    const event = this.#waiting.find(({ type }) => !this.#told.has(type));
    if (event === undefined || this.#requests.length === 0) return null;
    this.#waiting = this.#waiting.filter((other) => other !== event);
    this.#told.add(event.type);
    return {
      command: this.#requests.shift() as number,
      result: event.type | (event.info << 8) | (event.page << 16),
    };
  }
}
