// The proxy: listens where clients come, and for each opens a connection of its own to the server. How many at once is the
// server's business: a client that it refuses is refused in its words. What passes is told to the observer, which may hold the
// reading back when nobody takes what it prints.
import { closeFd, LinuxError, unixAccept, unixConnect, type Watcher, watch } from "@emudev/linux";
import { type Listening, listenAt } from "@emudev/vfio-user";
import type { Passed } from "../passed.ts";
import { ProxiedConnection, turnAway } from "./connection.ts";
import { now } from "./frame.ts";
import type { Side } from "./pair.ts";

export type Event =
  | { event: "connect"; connection: number; time: bigint }
  | { event: "disconnect"; connection: number; time: bigint; by: Side | "trace" }
  | { event: "refused"; connection: number; time: bigint; reason: string };

export interface ProxyOptions {
  listen: string;
  server: string;
  trap: boolean;
  passed(message: Passed): void;
  event(event: Event): void;
  /** A promise while what was told already waits to be taken; nothing is read until then. */
  behind(): Promise<void> | null;
}

const RETRY_MS = 100;

export class TraceProxy {
  readonly #options: ProxyOptions;
  readonly #listening: Listening;
  readonly #watcher: Watcher;
  readonly #connections = new Map<number, ProxiedConnection>();
  #count = 0;
  #held = false;
  #stopping = false;

  /** @throws VfioUserError VFU_ADDRESS where it cannot listen */
  constructor(options: ProxyOptions) {
    this.#options = options;
    this.#listening = listenAt(options.listen);
    this.#watcher = watch(this.#listening.fd, { readable: true }, () => this.#accept());
  }

  /** Ends every connection and removes the socket file. */
  stop(): void {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#watcher.close();
    this.#listening.close();
    for (const connection of [...this.#connections.values()]) connection.close();
  }

  #accept(): void {
    let client: number;
    try {
      client = unixAccept(this.#listening.fd);
    } catch {
      this.#watcher.update({ readable: false }); // no fd left: the client waits
      setTimeout(() => this.#watcher.update({ readable: true }), RETRY_MS).unref();
      return;
    }
    if (client < 0) return;
    const number = ++this.#count;
    let server = -1;
    try {
      server = unixConnect(this.#options.server);
      this.#connections.set(number, this.#join(client, server, number));
    } catch (error) {
      if (server >= 0) closeFd(server);
      turnAway(client);
      const reason = error instanceof LinuxError ? error.message : String(error);
      this.#options.event({ event: "refused", connection: number, time: now(), reason });
    }
  }

  #join(client: number, server: number, number: number): ProxiedConnection {
    this.#options.event({ event: "connect", connection: number, time: now() });
    return new ProxiedConnection(client, server, {
      number,
      trap: this.#options.trap,
      passed: (message) => {
        this.#options.passed(message);
        this.#holdBack();
      },
      mayRead: () => !this.#held,
      ended: (first) => {
        this.#connections.delete(number);
        const by = this.#stopping ? "trace" : first;
        this.#options.event({ event: "disconnect", connection: number, time: now(), by });
      },
    });
  }

  #holdBack(): void {
    const behind = this.#held ? null : this.#options.behind();
    if (behind === null) return;
    this.#held = true;
    void behind.then(() => {
      this.#held = false;
      for (const connection of this.#connections.values()) connection.resume();
    });
  }
}
