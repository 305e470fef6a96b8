// What a check works with: connections to the server, expectations that throw Mismatch, and what is known of the device. It
// remembers the last message for the report, and closes everything when the check is over.
import { closeFd, errnoName, unixConnect } from "@emudev/linux";
import { commandName, ERRNO } from "@emudev/vfio-user";
import { hex } from "../names.ts";
import { message, versionBody } from "./bytes.ts";
import { Mismatch } from "./check.ts";
import { type Answer, RawPeer, type Reply } from "./peer.ts";

export interface Facts {
  /** Of the server's VERSION reply. */
  minor: number;
  capabilities: Readonly<Record<string, unknown>>;
  flags: number;
  regions: readonly { flags: number; size: number; argsz: number; fds: number }[];
  irqs: readonly { flags: number; count: number }[];
  /** Of the server's process, by the socket. */
  pid: number;
}

export interface SendOptions {
  fds?: readonly number[];
  id?: number;
  /** Header flags. */
  flags?: number;
  /** Of the header, where it lies. */
  size?: number;
}

export const OFFER = JSON.stringify({
  capabilities: { max_msg_fds: 8, max_data_xfer_size: 1048576, pgsizes: 4096, write_multiple: true },
});

/** How long silence must last to count as such. */
export const SILENCE_MS = 150;
const RETRY_MS = 20;

export class Probe {
  readonly facts: Facts;
  readonly timeoutMs: number;
  readonly #socket: string;
  readonly #waitMs: number;
  readonly #peers: RawPeer[] = [];
  readonly #fds: number[] = [];
  #id = 100;
  sent = "";
  /** Set when the check's time is over; nothing is begun any more. */
  over = false;

  constructor(socket: string, facts: Facts, { timeoutMs, waitMs }: { timeoutMs: number; waitMs: number }) {
    this.#socket = socket;
    this.facts = facts;
    this.timeoutMs = timeoutMs;
    this.#waitMs = waitMs;
  }

  /** A connection on which nothing was said; a server that is on its way back is waited for. */
  async raw(): Promise<RawPeer> {
    const until = performance.now() + this.#waitMs;
    for (;;) {
      try {
        const peer = new RawPeer(unixConnect(this.#socket));
        this.#peers.push(peer);
        return peer;
      } catch (error) {
        if (performance.now() > until || this.over) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  /** A connection with VERSION behind it. A server that is still busy with the last one is asked again. */
  async connect(offer: string = OFFER): Promise<RawPeer> {
    const until = performance.now() + this.timeoutMs;
    for (;;) {
      const peer = await this.raw();
      const answer = await this.exchange(peer, 1, versionBody(0, 1, `${offer}\0`));
      if (answer.kind === "reply" && answer.errno === 0) return peer;
      peer.close();
      const busy = answer.kind === "reply" && answer.errno === ERRNO.EBUSY;
      if (!busy || performance.now() > until || this.over) throw new Mismatch("a reply to VERSION", describe(answer));
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  /** Sends a command and waits for what comes. */
  async exchange(peer: RawPeer, command: number, body: Uint8Array, options: SendOptions = {}): Promise<Answer> {
    await this.post(peer, command, body, options);
    return peer.receive(this.timeoutMs);
  }

  /** Sends a command and does not wait. @returns its id */
  async post(peer: RawPeer, command: number, body: Uint8Array, options: SendOptions = {}): Promise<number> {
    const id = options.id ?? this.#id++ & 0xffff;
    const bytes = message(id, command, body, options.flags ?? 0, options.size);
    await this.sendBytes(peer, bytes, options.fds, `${commandName(command)} id ${id}`);
    return id;
  }

  async sendBytes(peer: RawPeer, bytes: Uint8Array, fds: readonly number[] = [], what = "bytes"): Promise<void> {
    const shown = Buffer.from(bytes.subarray(0, 80))
      .toString("hex")
      .replace(/(.{8})(?=.)/g, "$1 ");
    const more = bytes.length > 80 ? " ..." : "";
    this.sent = `${what}, ${bytes.length} bytes${fds.length > 0 ? `, ${fds.length} fds` : ""}: ${shown}${more}`;
    await peer.send(bytes, fds, this.timeoutMs);
  }

  /** A connection, a command on it, and a reply without an error. */
  async ask(command: number, body: Uint8Array, options: SendOptions = {}): Promise<Reply> {
    return succeeded(await this.exchange(await this.connect(), command, body, options));
  }

  /** An fd that is closed with the check. */
  keep(fd: number): number {
    this.#fds.push(fd);
    return fd;
  }

  close(): void {
    this.over = true;
    for (const peer of this.#peers.splice(0)) peer.close();
    for (const fd of this.#fds.splice(0)) closeFd(fd);
  }
}

/** A sentence for what came. */
export function describe(answer: Answer): string {
  if (answer.kind === "closed") return "the connection closed";
  if (answer.kind === "silent") return `nothing in ${answer.ms} ms`;
  const error = answer.errno === 0 ? "" : ` ${errnoName(answer.errno)}`;
  const flagged = answer.flags & 0x20 ? `an error${error || " without errno"}` : `success`;
  const fds = answer.fds.length > 0 ? `, ${answer.fds.length} fds` : "";
  return `${flagged} (${commandName(answer.command)}, ${answer.size} bytes, flags ${hex(answer.flags)}${fds})`;
}

/** @throws Mismatch unless it is a reply without an error */
export function succeeded(answer: Answer): Reply {
  if (answer.kind === "reply" && (answer.flags & 0x20) === 0) return answer;
  throw new Mismatch("success", describe(answer));
}

/** @throws Mismatch unless it is an error; another errno than the reference's is the lesser one */
export function refused(answer: Answer, errno: number = ERRNO.EINVAL): void {
  const expected = `an error, ${errnoName(errno)}`;
  if (answer.kind !== "reply" || (answer.flags & 0x20) === 0) throw new Mismatch(expected, describe(answer));
  if (answer.errno !== errno) throw new Mismatch(expected, describe(answer), true);
}

/** @throws Mismatch */
export function expect(condition: boolean, expected: string, got: string | number | Answer): void {
  if (!condition) throw new Mismatch(expected, typeof got === "object" ? describe(got) : String(got));
}
