// One client and its connection to the server. What is told of each message goes to the observer after the message went on. If the
// two agree on a twin socket, the client gets one end of a pair of ours instead of the server's socket, and what passes there
// is traced as well; such a pair ends with the connection.
import { closeFd, fileStat, shutdownFd, socketPair } from "@emudev/linux";
import { COMMAND, FLAG } from "@emudev/vfio-user";
import type { Passed } from "../passed.ts";
import { describeFd } from "./fd-names.ts";
import { type Frame, fdsOf, HEADER_SIZE, type Rewritten } from "./frame.ts";
import type { LaneHandler } from "./lane.ts";
import { Pair, type Side } from "./pair.ts";
import { roomyRequest, twinIndex, unmapped, withoutIoFds } from "./rewrite.ts";

export interface ConnectionOptions {
  number: number;
  trap: boolean;
  passed(message: Passed): void;
  mayRead(): boolean;
  ended(first: Side): void;
}

/** Requests whose argsz was raised and that may still be answered; more is no client that waits for replies. */
const RAISED_MOST = 4096;

export class ProxiedConnection {
  readonly #options: ConnectionOptions;
  readonly #main: Pair;
  #twin: Pair | null = null;
  /** argsz of the client's DEVICE_GET_REGION_INFO by message id, in the order of asking. */
  readonly #asked: { id: number; argsz: number }[] = [];

  /** Takes over both fds. */
  constructor(client: number, server: number, options: ConnectionOptions) {
    this.#options = options;
    this.#main = new Pair(client, server, {
      client: this.#lane("main", "c>s", (frame) => this.#fromClient(frame)),
      server: this.#lane("main", "s>c", (frame) => this.#fromServer(frame)),
      mayRead: options.mayRead,
      ended: (first) => {
        this.#twin?.close();
        options.ended(first);
      },
    });
  }

  resume(): void {
    this.#main.resume();
    this.#twin?.resume();
  }

  close(): void {
    this.#main.close();
  }

  #lane(
    channel: Passed["channel"],
    direction: Passed["direction"],
    change: (frame: Frame) => Rewritten | null,
  ): LaneHandler {
    let fds: string[] = [];
    let note: string | null = null;
    return {
      arrived: (frame) => {
        fds = frame.marks.length === 0 ? [] : fdsOf(frame).map(describeFd);
        const changed = frame.kind === "message" ? change(frame) : null;
        note = changed?.note ?? null;
        return changed;
      },
      passed: ({ kind, bytes, size, fdsLost, time }) => {
        const { number, passed } = this.#options;
        passed({ connection: number, channel, direction, kind, bytes, size, time, fds, fdsLost, note });
      },
    };
  }

  #fromClient(frame: Frame): Rewritten | null {
    const { id, command, type } = headOf(frame);
    if (!this.#options.trap || command !== COMMAND.DEVICE_GET_REGION_INFO || type !== FLAG.COMMAND) return null;
    const roomy = roomyRequest(frame.bytes);
    if (roomy === null) return null;
    this.#asked.push({ id, argsz: roomy.argsz });
    if (this.#asked.length > RAISED_MOST) this.#asked.shift();
    return { bytes: roomy.bytes, fds: fdsOf(frame), drop: [], note: "trap: argsz raised" };
  }

  #fromServer(frame: Frame): Rewritten | null {
    const { id, command, type, failed } = headOf(frame);
    if (type !== FLAG.REPLY) return null;
    if (command === COMMAND.VERSION && !failed) return this.#withTwin(frame);
    if (!this.#options.trap) return null;
    if (command === COMMAND.DEVICE_GET_REGION_INFO)
      return this.#trapped(frame, unmapped(frame.bytes, this.#argszOf(id)));
    return command === COMMAND.DEVICE_GET_REGION_IO_FDS && !failed
      ? this.#trapped(frame, withoutIoFds(frame.bytes))
      : null;
  }

  #trapped(frame: Frame, bytes: Uint8Array | null): Rewritten | null {
    if (bytes === null) return null;
    const fds = fdsOf(frame);
    if (fds.length === 0 && Buffer.compare(bytes, frame.bytes) === 0) return null;
    return { bytes, fds: [], drop: fds, note: fds.length === 0 ? "trap: nothing to map" : "trap: fd kept back" };
  }

  /** Room that the client had for this reply; for one that is asked with room enough, all that there is. */
  #argszOf(id: number): number {
    const place = this.#asked.findIndex((each) => each.id === id);
    return place < 0 ? Number.MAX_SAFE_INTEGER : this.#asked.splice(place, 1)[0]!.argsz;
  }

  #withTwin(frame: Frame): Rewritten | null {
    const fds = fdsOf(frame);
    const index = fds.length === 0 || this.#twin !== null ? -1 : twinIndex(frame.bytes);
    const theirs = fds[index];
    if (theirs === undefined) return null;
    let pair: [number, number];
    try {
      if (fileStat(theirs).type !== "socket") return null;
      pair = socketPair();
      this.#twin = new Pair(pair[0], theirs, {
        client: this.#lane("twin", "c>s", () => null),
        server: this.#lane("twin", "s>c", () => null),
        mayRead: this.#options.mayRead,
        ended: () => {
          this.#twin = null;
        },
      });
    } catch {
      return null; // no fd left, or nothing that can be watched: untraced is better than broken
    }
    fds[index] = pair[1];
    return { bytes: frame.bytes, fds, drop: [], note: "twin socket traced" };
  }
}

/** Ends a connection that never was one. */
export function turnAway(client: number): void {
  shutdownFd(client);
  closeFd(client);
}

function headOf({ bytes }: Frame): { id: number; command: number; type: number; failed: boolean } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_SIZE);
  const flags = view.getUint32(8, true);
  return {
    id: view.getUint16(0, true),
    command: view.getUint16(2, true),
    type: flags & FLAG.TYPE_MASK,
    failed: (flags & FLAG.ERROR) !== 0,
  };
}
