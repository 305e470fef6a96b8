// From messages to entries: takes header and payload apart, finds the request of a reply for its latency, and learns from what
// passes which device it is. The same for a running proxy and for a file that is read later. Nothing that a peer sends makes
// it throw, or hold more than a bounded number of requests.
import { FLAG, wire } from "@emudev/vfio-user";
import { DeviceNames } from "./decode/device-names.ts";
import { decode, nameOf } from "./decode/index.ts";
import { type Decoded, decoded, payloadOf, type Style } from "./decode/types.ts";
import type { Entry } from "./entry.ts";
import type { Passed } from "./passed.ts";

/** Requests without a reply that are remembered on one connection; then the oldest are forgotten. */
const WAITING_MOST = 65536;

interface Conversation {
  names: DeviceNames;
  /** When requests passed, by who asked and message id, in order. */
  waiting: Map<string, bigint[]>;
  count: number;
}

export class Tracer {
  readonly #style: Style;
  readonly #conversations = new Map<number, Conversation>();

  constructor(style: Style) {
    this.#style = style;
  }

  /** Forgets a connection that has ended. */
  forget(connection: number): void {
    this.#conversations.delete(connection);
  }

  entry(message: Passed): Entry {
    const { bytes, size, kind } = message;
    const header = wire.header.decode(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), 0, bytes.length);
    if (header === null) return unreadable(message);
    const { id, command, flags, error: errno } = header;
    const conversation = this.#conversation(message.connection);
    const type = typeOf(flags);
    const latencyNs = this.#latency(conversation, message, id, type);
    const bad = faultOf(message, header);
    let content: Decoded = decoded("", {});
    if (bad === null && type === "error") {
      content = decoded("", {}, size === wire.header.SIZE ? null : `${size - wire.header.SIZE} bytes behind an error`);
    } else if (bad === null || kind !== "message") {
      const payload = payloadOf(
        bytes.subarray(wire.header.SIZE),
        type === "reply",
        message.fds,
        size - wire.header.SIZE,
      );
      content = decode(command, payload, conversation.names, this.#style);
    }
    if (type === "reply") learn(conversation.names, content);
    const { fields, text } = content;
    const fault = bad ?? content.fault;
    return { message, id, command, name: nameOf(command), type, errno, fields, text, fault, latencyNs };
  }

  #conversation(connection: number): Conversation {
    let conversation = this.#conversations.get(connection);
    if (conversation === undefined) {
      conversation = { names: new DeviceNames(), waiting: new Map(), count: 0 };
      this.#conversations.set(connection, conversation);
    }
    return conversation;
  }

  /** Remembers a command; of a reply, how long it took. */
  #latency(conversation: Conversation, message: Passed, id: number, type: Entry["type"]): bigint | null {
    const { waiting } = conversation;
    const { channel, direction, time } = message;
    if (type === "command") {
      const key = `${channel}${direction}${id}`;
      const times = waiting.get(key);
      if (times === undefined) waiting.set(key, [time]);
      else times.push(time);
      if (++conversation.count > WAITING_MOST) {
        waiting.clear();
        conversation.count = 0;
      }
      return null;
    }
    if (type !== "reply" && type !== "error") return null;
    const key = `${channel}${direction === "c>s" ? "s>c" : "c>s"}${id}`;
    const times = waiting.get(key);
    const asked = times?.shift();
    if (times === undefined || asked === undefined) return null;
    if (times.length === 0) waiting.delete(key);
    conversation.count--;
    return time - asked;
  }
}

function typeOf(flags: number): Entry["type"] {
  const type = flags & FLAG.TYPE_MASK;
  if (type === FLAG.REPLY) return flags & FLAG.ERROR ? "error" : "reply";
  if (type !== FLAG.COMMAND) return "unknown";
  return flags & FLAG.NO_REPLY ? "posted" : "command";
}

/** What is wrong with the message as such. */
function faultOf({ kind, bytes, fdsLost }: Passed, header: wire.header.Header): string | null {
  const wrong = wire.header.invalid(header);
  if (wrong !== null) return wrong;
  if (kind === "torn") return `the stream ends after ${bytes.length} of ${header.size} bytes`;
  const unknown = header.flags & ~(FLAG.TYPE_MASK | FLAG.NO_REPLY | FLAG.ERROR);
  if (unknown !== 0) return `unknown flags 0x${(unknown >>> 0).toString(16)}`;
  return fdsLost ? "fds were lost: more came than this process can hold" : null;
}

function unreadable(message: Passed): Entry {
  const { bytes } = message;
  const fault = `the stream ends after ${bytes.length} bytes of a header`;
  const fields = { payload: bytes.slice() };
  return { message, id: 0, command: 0, name: "?", type: "unknown", errno: 0, fields, text: "", fault, latencyNs: null };
}

function learn(names: DeviceNames, { fields, fault }: Decoded): void {
  const { index, offset, data } = fields;
  if (fault === null && typeof index === "number" && typeof offset === "bigint" && data instanceof Uint8Array) {
    names.learn(index, offset, data);
  }
}
