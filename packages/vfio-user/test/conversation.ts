// A conversation as data: what a peer sends, in which pieces, with which fds, and how it ends. The fuzzer draws them, the
// corpus (corpus/*.json) keeps typical ones and those that once found something; a counterexample that fast-check prints
// can be saved there as it is. Used by conversations.test.ts.

import { constants, openSync, readdirSync, readFileSync } from "node:fs";
import {
  addSeals,
  closeFd,
  eventfd,
  memfdCreate,
  SEAL,
  SocketMessenger,
  socketPair,
  unixConnect,
  watch,
} from "@emudev/linux";

/** What an fd may turn out to be; "own" is the connection's own socket. */
export const FD_KINDS = [
  ...["memfd", "sealed", "tiny", "readonly", "writeonly", "path", "directory", "null", "proc"],
  ...["socket", "own", "eventfd"],
];

/** Bytes in hexadecimal, sent as one segment with the fds on its first byte. `wait`: the server's turn comes first. */
export interface Segment {
  hex: string;
  fds?: string[];
  wait?: boolean;
}

export interface Conversation {
  /** What it shows. */
  why?: string;
  segments: Segment[];
  /** close: at once, whatever lies unread; drain: when the server has been silent for a while. */
  end: "close" | "drain";
}

const folder = new URL("./corpus/", import.meta.url);
export const corpus: [name: string, Conversation][] = readdirSync(folder).map((name) => [
  name,
  JSON.parse(readFileSync(new URL(name, folder), "utf8")),
]);

/** One fd of each kind. */
export class FdBox {
  readonly #fds: Record<string, number> = {};
  readonly #other: number;

  constructor() {
    const memfd = memfdCreate("memory", 0x100000);
    const sealed = memfdCreate("sealed", 0x100000);
    addSeals(sealed, SEAL.SHRINK | SEAL.GROW | SEAL.WRITE | SEAL.SEAL);
    const [socket, other] = socketPair();
    const again = (flags: number): number => openSync(`/proc/self/fd/${memfd}`, flags);
    this.#other = other;
    this.#fds = {
      memfd,
      sealed,
      socket,
      tiny: memfdCreate("tiny", 1),
      readonly: again(constants.O_RDONLY),
      writeonly: again(constants.O_WRONLY),
      path: again(0o10000000), // O_PATH
      directory: openSync("/", constants.O_RDONLY | constants.O_DIRECTORY),
      null: openSync("/dev/null", constants.O_RDWR),
      proc: openSync("/proc/self/maps", constants.O_RDONLY),
      eventfd: eventfd(),
    };
  }

  get(kind: string, own: number): number {
    return this.#fds[kind] ?? own;
  }

  close(): void {
    for (const fd of [...Object.values(this.#fds), this.#other]) closeFd(fd);
  }
}

/**
 * Plays a conversation; resolves with all that the server said, in hexadecimal, when the peer has left: `enough` digits
 * of it, or until the server is silent.
 */
export async function converse(
  path: string,
  { segments, end }: Conversation,
  box: FdBox,
  enough = Number.POSITIVE_INFINITY,
): Promise<string> {
  const fd = unixConnect(path);
  const heard: string[] = [];
  try {
    const messenger = new SocketMessenger(fd);
    for (const { hex, fds = [], wait } of segments) {
      const bytes = new Uint8Array(Buffer.from(hex, "hex"));
      const lent = fds.map((kind) => box.get(kind, fd));
      for (let at = 0; at < bytes.length; ) {
        const sent = messenger.send(bytes, at, bytes.length - at, at === 0 ? lent : undefined);
        if (sent > 0) at += sent;
        else await writable(fd);
      }
      if (wait) await turn();
    }
    if (end === "drain") await drain(messenger, heard, enough);
  } catch {
    // The server has ended the connection.
  }
  closeFd(fd);
  return heard.join("");
}

/** Reads until the server has closed, or said nothing for some turns of the loop. */
async function drain(messenger: SocketMessenger, heard: string[], enough: number): Promise<void> {
  const into = new Uint8Array(65536);
  for (let silent = 0, digits = 0; silent < 10 && digits < enough; ) {
    const got = messenger.recv(into, 0, into.length);
    for (const each of messenger.fds) closeFd(each);
    if (got === 0) return;
    if (got > 0) heard.push(Buffer.from(into.subarray(0, got)).toString("hex"));
    digits += 2 * Math.max(got, 0);
    silent = got > 0 ? 0 : silent + 1;
    await turn();
  }
}

/** The event loop goes round, the server reads, and what it put off comes too. */
const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));

function writable(fd: number): Promise<void> {
  return new Promise((resolve) => {
    const watcher = watch(fd, { writable: true }, () => {
      watcher.close();
      resolve();
    });
  });
}
