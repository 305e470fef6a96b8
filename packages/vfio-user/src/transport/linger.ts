// Waiting for the next message without sleeping, since going to sleep and being woken costs more than serving a register
// access does. Linger: after a message, a connection is read again for some microseconds, in case the peer goes on at
// once; where it does not, this is tried ever more seldom, so that it costs next to nothing. Poll: a connection is read
// all the time, in slices between which the event loop serves everything else. Both stop when a callback of the device
// needs the event loop. Used by server/session.ts.

import { performance } from "node:perf_hooks"; // the global of that name is a getter
import type { Connection } from "./connection.ts";

/** After the last message, and in all before the event loop has its turn. */
const LINGER_MS = 0.04;
const TURN_MS = 0.5;
/** Wake-ups that are let pass after vain waiting: doubled each time, to this. */
const MAX_SKIP = 64;
/** Of polling, between two turns of the event loop. */
const SLICE_MS = 0.1;
/** Looks at the socket between two at the clock. */
const LOOKS = 8;

export class Linger {
  #connection: Connection;
  #mayWait: () => boolean;
  #skip = 0;
  #skipped = 0;

  /** `mayWait`: nothing is under way that only the event loop can bring on. */
  constructor(connection: Connection, mayWait: () => boolean) {
    this.#connection = connection;
    this.#mayWait = mayWait;
  }

  /** To be called when a wake-up has brought messages. */
  wait(): void {
    if (this.#skipped < this.#skip) {
      this.#skipped++;
      return;
    }
    this.#skipped = 0;
    const end = performance.now() + TURN_MS;
    let until = end - TURN_MS + LINGER_MS;
    let caught = false;
    while (this.#connection.reading && this.#mayWait()) {
      const delivered = this.#connection.pump();
      const now = performance.now();
      if (delivered) {
        caught = true;
        until = now + LINGER_MS;
      }
      if (now > until || now > end) break;
    }
    this.#skip = caught ? 0 : Math.min(MAX_SKIP, this.#skip * 2 + 1);
  }
}

/** Reads the connection until it is closed. */
export function poll(connection: Connection, mayWait: () => boolean): void {
  connection.polled = true;
  const slice = (): void => {
    if (!connection.open) return;
    const end = performance.now() + SLICE_MS;
    // Once in any case: what a callback waits for may be an answer of this very client.
    do connection.pump(false, LOOKS);
    while (connection.reading && mayWait() && performance.now() < end);
    setImmediate(slice);
  };
  setImmediate(slice);
}
