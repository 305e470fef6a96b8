// Two sockets joined by two lanes: one side's end is told to the other after everything that was said before it, and the
// pair is over when both directions are. Watches the sockets for what the lanes want next. Used by connection.ts for the
// main socket and again for a twin socket.
import { closeFd, SocketMessenger, shutdownFd, type Watcher, watch } from "@emudev/linux";
import { Lane, type LaneHandler } from "./lane.ts";

export type Side = "client" | "server";

export interface PairHandler {
  /** Of what the client sends, and what the server sends. */
  client: LaneHandler;
  server: LaneHandler;
  /** False holds back what is read, until `resume`. */
  mayRead(): boolean;
  /** Once; both fds are closed. @param first who ended it */
  ended(first: Side): void;
}

export class Pair {
  readonly #fds: Record<Side, number>;
  readonly #lanes: Record<Side, Lane>;
  readonly #watchers: Record<Side, Watcher>;
  readonly #handler: PairHandler;
  #first: Side | null = null;
  #told: Record<Side, boolean> = { client: false, server: false };
  #open = true;

  /** Takes over both fds. */
  constructor(client: number, server: number, handler: PairHandler) {
    this.#handler = handler;
    this.#fds = { client, server };
    this.#lanes = {
      client: new Lane(new SocketMessenger(client), new SocketMessenger(server), handler.client),
      server: new Lane(new SocketMessenger(server), new SocketMessenger(client), handler.server),
    };
    this.#watchers = { client: this.#watch("client"), server: this.#watch("server") };
  }

  /** Reads again after `mayRead` said no. */
  resume(): void {
    if (this.#open) this.#settle();
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    for (const side of ["client", "server"] as const) {
      this.#watchers[side].close();
      this.#lanes[side].drop();
      closeFd(this.#fds[side]);
    }
    this.#handler.ended(this.#first ?? "client");
  }

  #watch(side: Side): Watcher {
    const other = side === "client" ? "server" : "client";
    return watch(this.#fds[side], { readable: true, writable: false }, () => {
      this.#lanes[other].flush();
      if (this.#handler.mayRead()) this.#lanes[side].pump(() => this.#open && this.#handler.mayRead());
      this.#settle();
    });
  }

  /** What follows from the states of the lanes: ends are passed on, and the watchers look for what is wanted. */
  #settle(): void {
    if (!this.#open) return;
    this.#passEnd("client", "server");
    this.#passEnd("server", "client");
    if (this.#lanes.client.state !== "open" && this.#lanes.server.state !== "open") {
      this.close();
      return;
    }
    const may = this.#handler.mayRead();
    for (const [side, other] of [
      ["client", "server"],
      ["server", "client"],
    ] as const) {
      const readable = may && this.#lanes[side].wantsIn;
      this.#watchers[side].update({ readable, writable: this.#lanes[other].wantsOut });
    }
  }

  #passEnd(side: Side, other: Side): void {
    const { state } = this.#lanes[side];
    if (state === "open" || this.#told[side]) return;
    this.#told[side] = true;
    // A lane fails because its target is gone
    this.#first ??= state === "ended" ? side : other;
    if (state === "ended") shutdownFd(this.#fds[other], "write");
  }
}
