// One direction of a connection: reads messages from one socket and writes each to the other before it reads the next. A
// message goes out in one sendmsg with its fds on its first byte, which is where QEMU and libvfio-user look for them: they read
// 16 bytes by recvmsg, then the body. fds that came with a later byte go with that byte again. While the other side has no
// room nothing is read, so the writer feels the pressure as if the proxy were not there; a lane holds one message at most.
import { closeFd, type SocketMessenger } from "@emudev/linux";
import { MAX_MESSAGE_SIZE } from "@emudev/vfio-user";
import { type Frame, HEADER_SIZE, type Mark, now, type Rewritten } from "./frame.ts";

export interface LaneHandler {
  /** Before a frame goes on. null: as it is. */
  arrived(frame: Frame): Rewritten | null;
  /** After it went on (or waits for room): the time to print it. */
  passed(frame: Frame): void;
}

const FIRST_BUFFER_SIZE = 4096;
/** Messages per wake-up, so that one connection cannot keep the loop to itself. */
const MESSAGES_PER_WAKE = 64;

interface Outgoing {
  bytes: Uint8Array;
  length: number;
  sent: number;
  marks: Mark[];
}

export class Lane {
  /** "open", "ended" (the source closed and all of it went on), "failed" (the target is gone). */
  state: "open" | "ended" | "failed" = "open";
  readonly #from: SocketMessenger;
  readonly #to: SocketMessenger;
  readonly #handler: LaneHandler;
  #rx = new Uint8Array(FIRST_BUFFER_SIZE);
  #have = 0;
  #need = HEADER_SIZE;
  /** Bytes of a large message that are yet to come, and pass unseen. */
  #unseen = 0;
  #marks: Mark[] = [];
  #fdsLost = false;
  #out: Outgoing | null = null;
  #eof = false;

  /** Both messengers are the lane's own: each remembers the buffer that it used last. */
  constructor(from: SocketMessenger, to: SocketMessenger, handler: LaneHandler) {
    this.#from = from;
    this.#to = to;
    this.#handler = handler;
  }

  /** The source is worth reading. */
  get wantsIn(): boolean {
    return this.state === "open" && this.#out === null && !this.#eof;
  }

  /** The target had no room. */
  get wantsOut(): boolean {
    return this.state === "open" && this.#out !== null;
  }

  /** Moves what is there. @param goOn asked after each message: false ends the turn */
  pump(goOn: () => boolean): void {
    for (let budget = MESSAGES_PER_WAKE; budget > 0 && this.wantsIn; budget--) {
      if (!this.#readFrame() || !goOn()) return;
    }
  }

  /** The target has room again. */
  flush(): void {
    if (!this.wantsOut) return;
    this.#send();
    this.#finishIfOver();
  }

  /** Closes the fds that are on their way; the lane is not used any more. */
  drop(): void {
    for (const { fds } of [...this.#marks, ...(this.#out?.marks ?? [])]) for (const fd of fds) closeFd(fd);
    this.#marks = [];
    this.#out = null;
  }

  /** Reads up to one whole frame and passes it on; false when nothing more is there. */
  #readFrame(): boolean {
    for (;;) {
      const got = this.#read();
      if (got < 0) return false;
      if (got === 0) return this.#end();
      this.#have += got;
      if (this.#unseen > 0) {
        this.#unseen -= got;
        this.#passUnseen();
        return true;
      }
      if (this.#have < this.#need) continue;
      const size = this.#sizeOf();
      if (this.#need === HEADER_SIZE && size > HEADER_SIZE) {
        this.#need = Math.min(size, MAX_MESSAGE_SIZE);
        continue;
      }
      this.#pass(size > MAX_MESSAGE_SIZE ? "large" : "message");
      this.#unseen = Math.max(size - MAX_MESSAGE_SIZE, 0);
      return true;
    }
  }

  /** A size that is smaller than the header itself leaves the header as the message. */
  #sizeOf(): number {
    return new DataView(this.#rx.buffer).getUint32(4, true);
  }

  /** Bytes read, 0 at the end, -1 when nothing is there. */
  #read(): number {
    if (this.#unseen === 0 && this.#have === this.#rx.length) this.#grow();
    const most = this.#unseen > 0 ? Math.min(this.#unseen, this.#rx.length) : Math.min(this.#need, this.#rx.length);
    let got: number;
    try {
      got = this.#from.recv(this.#rx, this.#have, most - this.#have);
    } catch {
      return 0; // reset: what came before it has been read
    }
    if (got > 0 && this.#from.fds.length > 0) this.#marks.push({ at: this.#have, fds: [...this.#from.fds] });
    if (got > 0 && this.#from.truncated) this.#fdsLost = true;
    return got;
  }

  #grow(): void {
    const grown = new Uint8Array(Math.min(2 * this.#rx.length, MAX_MESSAGE_SIZE));
    grown.set(this.#rx.subarray(0, this.#have));
    this.#rx = grown;
  }

  #end(): boolean {
    this.#eof = true;
    if (this.#have > 0) this.#pass("torn");
    this.#finishIfOver();
    return false;
  }

  #pass(kind: Frame["kind"]): void {
    const bytes = this.#rx.subarray(0, this.#have);
    const size = this.#have < HEADER_SIZE ? this.#have : this.#sizeOf();
    const frame: Frame = { kind, bytes, size, marks: this.#marks, fdsLost: this.#fdsLost, time: now() };
    const changed = this.#handler.arrived(frame);
    const marks = changed === null ? this.#marks : changed.fds.length > 0 ? [{ at: 0, fds: changed.fds }] : [];
    this.#reset();
    this.#out = { bytes: changed?.bytes ?? this.#rx, length: (changed?.bytes ?? bytes).length, sent: 0, marks };
    for (const fd of changed?.drop ?? []) closeFd(fd);
    this.#send();
    this.#handler.passed(frame);
  }

  #passUnseen(): void {
    this.#out = { bytes: this.#rx, length: this.#have, sent: 0, marks: this.#marks };
    this.#reset();
    this.#send();
  }

  #reset(): void {
    this.#marks = [];
    this.#fdsLost = false;
    this.#have = 0;
    this.#need = HEADER_SIZE;
  }

  /** Writes until all is taken or there is no room. */
  #send(): void {
    const out = this.#out as Outgoing;
    try {
      while (out.sent < out.length) {
        const mark = out.marks[0];
        const here = mark?.at === out.sent ? mark : null;
        const until = (here === null ? mark : out.marks[1])?.at ?? out.length;
        const taken = this.#to.send(out.bytes, out.sent, until - out.sent, here?.fds);
        if (taken < 0) return;
        out.sent += taken;
        if (here === null) continue;
        out.marks = out.marks.slice(1);
        for (const fd of here.fds) closeFd(fd);
      }
      this.#out = null;
    } catch {
      this.state = "failed"; // the reader is gone
      this.drop();
    }
  }

  #finishIfOver(): void {
    if (this.#eof && this.#out === null && this.state === "open") this.state = "ended";
  }
}
