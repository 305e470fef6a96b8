// The backend's end of an event channel: it watches the eventfd on the event loop, takes the messages out of the ring and
// answers them. Made before emuSubscribeEvent, so that no event finds nobody.
import { eventfdRead, type Watcher, watch } from "@emudev/linux";
import { type EmuDevEventChannel, eventArg, eventName, eventType } from "./events.ts";
import { warn } from "./log.ts";
import { deviceById } from "./registry.ts";

/**
 * The backend's end of a channel: watches the eventfd, runs the handler for each message in order, one at a time, and
 * answers it when the handler's promise resolves. A handler that throws is named in the log and its message answered.
 */
export class EventReceiver {
  readonly #channel: EmuDevEventChannel;
  readonly #handler: (type: number, arg: number) => void | Promise<void>;
  readonly #devId: number;
  readonly #watcher: Watcher;
  #running: Promise<void> | null = null;
  #closed = false;

  constructor(
    channel: EmuDevEventChannel,
    handler: (type: number, arg: number) => void | Promise<void>,
    devId: number,
  ) {
    this.#channel = channel;
    this.#handler = handler;
    this.#devId = devId;
    this.#watcher = watch(channel.fd, { readable: true }, ({ readable, error }) => {
      if (readable) this.#wake();
      if (error !== 0) warn(`eventfd ${channel.fd} of an event channel failed while watched (${error})`);
    });
  }

  /** Stops watching; resolves when the handler that runs has ended. Messages left in the ring stay unanswered. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#watcher.close();
    await this.#running;
  }

  #wake(): void {
    eventfdRead(this.#channel.fd);
    if (this.#running !== null) return; // the loop below sees the new messages
    this.#running = this.#drain().finally(() => {
      this.#running = null;
    });
  }

  async #drain(): Promise<void> {
    for (let message = this.#next(); message !== 0; message = this.#next()) {
      try {
        await this.#handler(eventType(message), eventArg(message));
      } catch (error) {
        const what = `${eventName(eventType(message))}(${eventArg(message)})`;
        warn(`handler of ${what} failed: ${error instanceof Error ? (error.stack ?? error.message) : error}`);
      }
      if (!this.#closed) this.#answer(message);
    }
  }

  #answer(message: number): void {
    const dev = deviceById(this.#devId);
    dev.subscriptions.find((known) => known.channel === this.#channel)?.answer(message); // unsubscribed: nobody waits
  }

  #next(): number {
    return this.#closed ? 0 : this.#channel.queue.dequeue() >>> 0;
  }
}
