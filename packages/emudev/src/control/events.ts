// The event channel: an eventfd to wake the backend and a ring of messages, as in the RFC, which left the messages to the
// two ends. A message is one 32-bit object, type << 24 | argument << 8 | sequence, never 0. What the RFC lacks is the
// answer: the provider may take memory or a queue away only when the backend has let go, so each message is acknowledged
// by emuEventDone and emuNotify's promise waits for that.
import { closeFd, eventfd, eventfdWrite } from "@emudev/linux";
import { type Arena, Ring } from "@emudev/shm";
import { EVENT_CHANNEL_SLOTS, EVENT_LATE_MS, EVENTS_UNANSWERED_MAX } from "./limits.ts";
import { warn } from "./log.ts";

/** The guest enabled a queue; the argument is its number (2i = receive queue i, 2i+1 = transmit queue i). */
export const EMU_DEV_EVENT_QUEUE_ENABLE = 1;
/** The guest disabled a queue; after the answer no lcore may touch it. Argument: its number. */
export const EMU_DEV_EVENT_QUEUE_DISABLE = 2;
/** The memory table changed; nothing needs to be done by who translates at each use. */
export const EMU_DEV_EVENT_MEM_CHANGE = 3;
/** The device was reset: every queue is disabled. */
export const EMU_DEV_EVENT_RESET = 4;
export const EMU_DEV_EVENT_CLIENT_UP = 5;
export const EMU_DEV_EVENT_CLIENT_DOWN = 6;
/** An attribute changed; the argument is its number (attrName). */
export const EMU_DEV_EVENT_ATTR_CHANGE = 7;
export const EMU_DEV_EVENT_DEV_STOP = 8;
export const EMU_DEV_EVENT_DEV_START = 9;

const NAMES = "QUEUE_ENABLE QUEUE_DISABLE MEM_CHANGE RESET CLIENT_UP CLIENT_DOWN ATTR_CHANGE DEV_STOP DEV_START".split(
  " ",
);

/** "QUEUE_ENABLE" for 1; unknown types by number. */
export function eventName(type: number): string {
  return NAMES[type - 1] ?? `event ${type}`;
}

export interface EmuDevEventChannel {
  /** eventfd, written after each message. */
  fd: number;
  /** Messages, from the provider's side to the backend's; both on the main thread. */
  queue: Ring;
}

/** A channel of its own eventfd and ring. `name` is the ring's memzone. */
export function eventChannelCreate(arena: Arena, name: string): EmuDevEventChannel {
  return { fd: eventfd(), queue: Ring.create(arena, name, EVENT_CHANNEL_SLOTS) };
}

/** Frees what eventChannelCreate made; unsubscribe and close the receiver before. */
export function eventChannelFree(channel: EmuDevEventChannel): void {
  closeFd(channel.fd);
  channel.queue.free();
}

export const eventType = (message: number): number => message >>> 24;
export const eventArg = (message: number): number => (message >>> 8) & 0xffff;

/** One subscriber of one device: sends messages, keeps what is unanswered, and what did not fit yet. Used by this class alone. */
export class EmuDevSubscription {
  readonly channel: EmuDevEventChannel;
  /** By sequence number. Not a Map: see the note in watch.ts of `linux`. */
  readonly #unanswered: ({ message: number; done: () => void } | undefined)[] = [];
  #unansweredCount = 0;
  readonly #waiting: { type: number; arg: number; done: () => void }[] = [];
  #seq = 0;

  constructor(channel: EmuDevEventChannel) {
    this.channel = channel;
  }

  /** Sends one event; resolves when the subscriber has answered it, or is gone. */
  send(device: string, type: number, arg: number): Promise<void> {
    return new Promise((resolve) => {
      const late = setTimeout(() => {
        const who = `the subscriber with eventfd ${this.channel.fd}`;
        warn(`${device}: ${who} has not answered ${eventName(type)}(${arg}) for ${EVENT_LATE_MS} ms; still waiting`);
      }, EVENT_LATE_MS);
      late.unref();
      const done = (): void => {
        clearTimeout(late);
        resolve();
      };
      this.#waiting.push({ type, arg, done });
      this.#flush();
    });
  }

  /** Takes the answer to a message. @returns false when there is no such message */
  answer(message: number): boolean {
    const sent = this.#unanswered[message & 0xff];
    if (sent?.message !== message) return false;
    this.#unanswered[message & 0xff] = undefined;
    this.#unansweredCount--;
    sent.done();
    this.#flush();
    return true;
  }

  /** The subscriber left: nobody waits for it any longer. */
  close(): void {
    for (const sent of this.#unanswered.splice(0)) sent?.done();
    for (const { done } of this.#waiting.splice(0)) done();
    this.#unansweredCount = 0;
  }

  #flush(): void {
    let sent = false;
    while (this.#waiting.length > 0 && this.#unansweredCount < EVENTS_UNANSWERED_MAX) {
      const { type, arg, done } = this.#waiting[0]!;
      do this.#seq = (this.#seq + 1) & 0xff;
      while (this.#unanswered[this.#seq] !== undefined); // fewer than 256 are unanswered
      const message = ((type << 24) | (arg << 8) | this.#seq) >>> 0;
      if (!this.channel.queue.enqueue(message)) break; // full: an answer comes back here
      this.#unanswered[this.#seq] = { message, done };
      this.#unansweredCount++;
      this.#waiting.shift();
      sent = true;
    }
    if (sent) eventfdWrite(this.channel.fd);
  }
}
