// A client's end of a connection that sends whatever bytes a check wants and takes replies apart by itself. Nothing here waits
// without a limit, and what comes that nobody could foresee (half a message, a reset, fds) is an answer too. Used by probe.ts.
import { closeFd, peerCredentials, SocketMessenger, type Watcher, watch } from "@emudev/linux";

export interface Reply {
  kind: "reply";
  id: number;
  command: number;
  size: number;
  flags: number;
  /** 0 in a reply without the error flag. */
  errno: number;
  body: DataView;
  /** Closed when the check ends. */
  fds: number[];
}

export type Answer = Reply | { kind: "closed" } | { kind: "silent"; ms: number };

const HEADER = 16;
/** No legal message is longer than 1 MiB and its heads; this is room to see one that is. */
const ROOM = (1 << 20) + 65536;
const ERROR_FLAG = 0x20;
const TYPE_COMMAND = 0;

export class RawPeer {
  /** Of the server's process. */
  readonly pid: number;
  readonly #fd: number;
  readonly #messenger: SocketMessenger;
  readonly #buffer = new Uint8Array(ROOM);
  readonly #fds: number[] = [];
  #have = 0;
  #ended = false;
  #open = true;

  /** Takes over a connected socket. */
  constructor(fd: number) {
    this.#fd = fd;
    this.pid = peerCredentials(fd).pid;
    this.#messenger = new SocketMessenger(fd);
  }

  /** False when the server has closed its end, or takes nothing more within `ms`. */
  async send(bytes: Uint8Array, fds: readonly number[] = [], ms = 1000): Promise<boolean> {
    const until = performance.now() + ms;
    for (let at = 0; at < bytes.length; ) {
      try {
        const sent = this.#messenger.send(bytes, at, bytes.length - at, at === 0 ? fds : undefined);
        if (sent > 0) at += sent;
        else if (performance.now() > until) return false;
        else await this.#ready({ writable: true }, 50);
      } catch {
        return false;
      }
    }
    return true;
  }

  /** The next reply; the server's own commands (DMA_READ and the like) are passed over. */
  async receive(ms: number): Promise<Answer> {
    const until = performance.now() + ms;
    for (;;) {
      const message = this.#take();
      if (message !== null && (message.flags & 15) === TYPE_COMMAND) continue;
      if (message !== null) return message;
      if (this.#ended || !this.#open) return { kind: "closed" };
      const left = until - performance.now();
      if (left <= 0) return { kind: "silent", ms };
      await this.#ready({ readable: true }, left);
      this.#read();
    }
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    for (const fd of this.#fds) closeFd(fd);
    closeFd(this.#fd);
  }

  #read(): void {
    if (!this.#open || this.#have === ROOM) return;
    try {
      const count = this.#messenger.recv(this.#buffer, this.#have, ROOM - this.#have);
      this.#fds.push(...this.#messenger.fds);
      if (count > 0) this.#have += count;
      if (count === 0) this.#ended = true;
    } catch {
      this.#ended = true; // reset by the server
    }
  }

  #take(): Reply | null {
    if (this.#have < HEADER) return null;
    const view = new DataView(this.#buffer.buffer);
    const size = view.getUint32(4, true);
    if (size < HEADER || size > ROOM) {
      this.#ended = true; // the stream is of no use from here on
      this.#have = 0;
      return null;
    }
    if (this.#have < size) return null;
    const bytes = this.#buffer.slice(0, size);
    this.#buffer.copyWithin(0, size, this.#have);
    this.#have -= size;
    const head = new DataView(bytes.buffer);
    const flags = head.getUint32(8, true);
    return {
      kind: "reply",
      id: head.getUint16(0, true),
      command: head.getUint16(2, true),
      size,
      flags,
      errno: flags & ERROR_FLAG ? head.getUint32(12, true) : 0,
      body: new DataView(bytes.buffer, HEADER),
      fds: [...this.#fds],
    };
  }

  async #ready(interest: { readable?: boolean; writable?: boolean }, ms: number): Promise<void> {
    let watcher: Watcher | null = null;
    let timer: NodeJS.Timeout | undefined;
    try {
      await new Promise<void>((resolve) => {
        timer = setTimeout(resolve, ms);
        watcher = watch(this.#fd, interest, () => resolve());
      });
    } finally {
      clearTimeout(timer);
      (watcher as Watcher | null)?.close();
    }
  }
}
