// An enabled controller at work, from CC.EN 0 -> 1 to its reset: fetches commands, has them carried out (admin.ts, io.ts),
// posts completions, raises interrupts. controller.ts makes one for each enabling and stops it; a stopped engine touches
// the host's memory no more, whatever its last commands still do.
//
// Commands of a queue start in order and may end out of order. A batch is fetched at a time, and other work of the process
// comes between batches. How much is under way is bounded by slots in the completion queue and by MAX_IN_FLIGHT.
import type { Log } from "@emudev/vfio-user";
import { executeAdmin } from "./admin.ts";
import { ADMIN, Command, ENTRY_BYTES } from "./command.ts";
import { type Dma, DmaError, guarded } from "./dma.ts";
import { EVENT, type Event, Events } from "./events.ts";
import { Features } from "./features.ts";
import type { Health } from "./health.ts";
import type { Identity, Namespace } from "./identify.ts";
import { executeIo } from "./io.ts";
import { COMPLETION_BYTES, CompletionQueue, SubmissionQueue } from "./queue.ts";
import { demand, STATUS, StatusError, statusField } from "./status.ts";

/** What an engine works with; the controller's, and the same for all its engines. */
export interface EngineHost {
  readonly dma: Dma;
  readonly log: Log;
  readonly identity: Identity;
  readonly namespace: Namespace;
  readonly health: Health;
  /** I/O queue pairs. */
  readonly maxQueues: number;
  readonly vectors: number;
  raise(vector: number): void;
  /** Queue memory cannot be reached: nothing goes on without a reset. */
  fatal(why: string): void;
}

export interface AdminQueues {
  submission: { base: number; entries: number };
  completion: { base: number; entries: number };
  pageBytes: number;
}

const BATCH = 16;
/** Commands under way, each with at most MAX_TRANSFER bytes. */
const MAX_IN_FLIGHT = 32;

export class Engine {
  readonly host: EngineHost;
  readonly pageBytes: number;
  readonly features: Features;
  readonly events = new Events();
  readonly submissions = new Map<number, SubmissionQueue>();
  readonly completions = new Map<number, CompletionQueue>();
  /** The host's memory, for as long as the engine runs. */
  readonly dma: Dma;
  #stopped = false;
  /** Commands under way. */
  #inFlight = 0;
  /** Commands and fetches that have not come to their end. */
  #busy = 0;
  /** Queues with commands that wait for one of the two limits, longest first. */
  readonly #stalled = new Set<SubmissionQueue>();
  readonly #signals = new Set<number>();
  #waiters: { holds: () => boolean; resolve: () => void }[] = [];

  constructor(host: EngineHost, admin: AdminQueues) {
    this.host = host;
    this.pageBytes = admin.pageBytes;
    this.features = new Features(host.maxQueues, host.vectors);
    this.dma = guarded(host.dma, () => this.#check());
    const completions = new CompletionQueue(0, admin.completion.base, admin.completion.entries, 0);
    this.completions.set(0, completions);
    this.addSubmissionQueue(0, admin.submission.base, admin.submission.entries, completions);
  }

  /** Nothing is fetched, completed or copied from now on. Resolves when nothing is under way any more. */
  stop(): Promise<void> {
    this.#stopped = true;
    return this.#when(() => this.#busy === 0);
  }

  /** Doorbell `index` of all, in the order of their addresses. */
  doorbell(index: number, value: number): void {
    if (this.#stopped) return;
    const id = index >>> 1;
    const queue = index % 2 === 0 ? this.submissions.get(id) : this.completions.get(id);
    if (queue === undefined) this.#invalid(EVENT.INVALID_DOORBELL, id);
    else if (!queue.ring(value)) this.#invalid(EVENT.INVALID_DOORBELL_VALUE, id);
    else if (queue instanceof SubmissionQueue) void this.#serve(queue);
    else {
      for (const user of queue.users) void this.#serve(user);
      if (id === 0) void this.tellEvents();
    }
  }

  addSubmissionQueue(id: number, base: number, entries: number, completions: CompletionQueue): void {
    const queue = new SubmissionQueue(id, base, entries, completions);
    this.submissions.set(id, queue);
    completions.users.add(queue);
  }

  /** Takes no more commands from the queue, and resolves when those under way are completed. */
  async removeSubmissionQueue(queue: SubmissionQueue): Promise<void> {
    queue.closed = true;
    await this.#when(() => queue.inFlight === 0 && !queue.busy);
    this.submissions.delete(queue.id);
    queue.completions.users.delete(queue);
  }

  /** Completes held event requests, as far as there are events and room. */
  async tellEvents(): Promise<void> {
    const queue = this.submissions.get(0) as SubmissionQueue;
    while (!this.#stopped && queue.completions.room > 0) {
      const told = this.events.next();
      if (told === null) return;
      await this.#complete(queue, told.command, STATUS.SUCCESS, told.result);
    }
  }

  /** Ends a held event request unanswered; false when there is none of that id, or no room to say so. */
  abortEventRequest(command: number): boolean {
    const queue = this.submissions.get(0) as SubmissionQueue;
    if (queue.completions.room <= 0 || !this.events.withdraw(command)) return false;
    void this.#complete(queue, command, STATUS.ABORT_REQUESTED, 0);
    return true;
  }

  async #serve(queue: SubmissionQueue): Promise<void> {
    if (queue.busy) return;
    queue.busy = true;
    this.#busy++;
    for (let count = this.#room(queue); count > 0; count = this.#room(queue)) {
      const entries = new Uint8Array(count * ENTRY_BYTES);
      this.#begin(queue, count);
      try {
        const read = this.dma.read(queue.address, entries);
        if (read !== undefined) await read;
      } catch (error) {
        this.#end(queue, count);
        this.#fail(`commands of queue ${queue.id} cannot be read`, error);
        break;
      }
      queue.advance(count);
      for (let i = 0; i < count; i++) void this.#run(queue, new Command(entries, i));
      if (queue.ready > 0) await new Promise((resolve) => setImmediate(resolve));
    }
    if (queue.ready > 0) this.#stalled.add(queue);
    queue.busy = false;
    this.#busy--;
    this.#settle();
  }

  /** Commands that may be fetched now. */
  #room(queue: SubmissionQueue): number {
    if (this.#stopped || queue.closed) return 0;
    return Math.min(BATCH, queue.ready, queue.completions.room, MAX_IN_FLIGHT - this.#inFlight);
  }

  #begin(queue: SubmissionQueue, count: number): void {
    queue.completions.reserved += count;
    queue.inFlight += count;
    this.#inFlight += count;
    this.#busy += count;
  }

  /** The counterpart of #begin, when the completions are posted or will never be. */
  #end(queue: SubmissionQueue, count = 1): void {
    queue.inFlight -= count;
    this.#inFlight -= count;
    this.#busy -= count;
    const stalled = [...this.#stalled];
    this.#stalled.clear();
    for (const other of stalled) void this.#serve(other);
    this.#settle();
  }

  async #run(queue: SubmissionQueue, command: Command): Promise<void> {
    let status: number = STATUS.SUCCESS;
    let result: number | null = 0;
    try {
      command.checkForm();
      if (queue.id > 0) result = await executeIo(this, command);
      else if (command.opcode === ADMIN.ASYNC_EVENT_REQUEST) result = this.#hold(command);
      else result = await executeAdmin(this, command);
    } catch (error) {
      status = this.#statusOf(error);
    }
    queue.completions.reserved--;
    if (result !== null) {
      if (status !== STATUS.SUCCESS) this.#count(queue.id, command, status);
      await this.#complete(queue, command.id, status, result);
    }
    this.#end(queue);
    if (queue.id === 0) await this.tellEvents();
  }

  /** An event request is completed when there is an event. */
  #hold(command: Command): null {
    demand(this.events.hold(command.id), STATUS.EVENT_REQUEST_LIMIT, "too many event requests are held");
    return null;
  }

  #count(queue: number, { id, namespace }: Command, status: number): void {
    this.host.health.failed(queue, id, statusField(status) << 1, namespace);
  }

  /** Posts a completion into a slot that nobody else was promised. */
  async #complete(queue: SubmissionQueue, command: number, status: number, result: number): Promise<void> {
    if (this.#stopped) return;
    const { completions } = queue;
    const { address, phase } = completions.take();
    const view = new DataView(new ArrayBuffer(COMPLETION_BYTES));
    view.setUint32(0, result, true);
    view.setUint16(8, queue.head, true);
    view.setUint16(10, queue.id, true);
    view.setUint16(12, command, true);
    // First all of it with the old phase, which the host takes for no entry: the copy is not atomic. Then the phase.
    const field = statusField(status) << 1;
    view.setUint16(14, field | (phase ^ 1), true);
    try {
      const written = this.dma.write(address, new Uint8Array(view.buffer));
      if (written !== undefined) await written;
      const published = this.dma.publish(address + 12, ((field | phase) << 16) | command);
      if (published !== undefined) await published;
      this.#signal(completions);
    } catch (error) {
      this.#fail(`completions of queue ${completions.id} cannot be written`, error);
    }
  }

  /** Raises the queue's interrupt after the completions of this turn, once for all of them. */
  #signal({ vector }: CompletionQueue): void {
    if (vector < 0) return;
    if (this.#signals.size === 0) setImmediate(() => this.#raise());
    this.#signals.add(vector);
  }

  #raise(): void {
    for (const vector of this.#signals) {
      if (this.#stopped) break;
      this.host.health.interrupts++;
      this.host.raise(vector);
    }
    this.#signals.clear();
  }

  #statusOf(error: unknown): number {
    if (error instanceof StatusError) return error.status;
    if (error instanceof DmaError) return STATUS.DATA_TRANSFER_ERROR;
    this.host.log.error(`nvme: a command failed: ${(error as Error)?.stack ?? error}`);
    return STATUS.INTERNAL_ERROR;
  }

  #invalid(event: Event, queue: number): void {
    this.host.health.failed(queue, 0xffff, 0, 0);
    this.events.happened(event);
    void this.tellEvents();
  }

  #fail(what: string, error: unknown): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.host.fatal(`${what}: ${(error as Error).message}`);
  }

  #check(): void {
    if (this.#stopped) throw new DmaError("the controller is being reset");
  }

  #when(holds: () => boolean): Promise<void> {
    if (holds()) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push({ holds, resolve }));
  }

  /** Tells those who wait for an end that has come. */
  #settle(): void {
    if (this.#waiters.length === 0) return;
    const done = this.#waiters.filter(({ holds }) => holds());
    this.#waiters = this.#waiters.filter((waiter) => !done.includes(waiter));
    for (const { resolve } of done) resolve();
  }
}
