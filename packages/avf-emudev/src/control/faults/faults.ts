// Fault injection: a device that misbehaves on command, for whoever writes or tests a driver. All of it is done from the control
// path: answers are held back where they are made (mailbox.ts asks `take`), queues are taken from the backend and given
// back, descriptors are written into a ring that the backend has let go of. Lcores know nothing of it, so a device
// without faults costs what it always did. kinds.ts says which faults there are; driver.ts makes them reachable.
import { opName, RX_DESC_BYTES, statusName, VIRTCHNL_OP } from "@emudev/avf";
import type { Logger } from "@emudev/eal";
import { QPOS_INDEX } from "@emudev/emudev";
import { signalEventfd } from "@emudev/linux";
import type { AvfDevice } from "../device.ts";
import { EmuIavfError } from "../errors.ts";
import { resetEvent } from "../link.ts";
import { queueOf } from "../vf.ts";
import { wrongDescriptor } from "./descriptor.ts";
import { type DescriptorError, type Fault, parseFault } from "./kinds.ts";

export type ReplyFault = Extract<Fault, { kind: "drop" | "delay" | "refuse" }>;

/** How long a driver whose ring is full of packets may take to give a buffer back. */
const BUFFER_MS = 500;

/** What lasts: a link that is down, a queue that stands still, ... */
interface Lasting {
  text: string;
  end(): void;
  timer: NodeJS.Timeout | null;
}

export class Faults {
  /** Every register reads as ones. */
  dead = false;
  linkDown = false;
  /** Queues, by emudev's numbers, that the backend does not get. */
  readonly stalled = new Set<number>();
  readonly #device: AvfDevice;
  readonly #log: Logger;
  #replies: ReplyFault[] = [];
  readonly #lasting = new Map<string, Lasting>();
  /** How often the link is still to go down. */
  #flaps = 0;

  constructor(device: AvfDevice, log: Logger) {
    this.#device = device;
    this.#log = log;
  }

  /**
   * Makes the device misbehave. @param words a fault of kinds.ts, "stall", "rx0", "100"
   * @returns resolves when it is in effect
   * @throws EmuIavfError FAULT, at once, that says what is wrong with the words
   */
  inject(words: readonly string[]): Promise<void> {
    const fault = parseFault(words, this.#device.params.queues);
    this.#log.notice(`${this.#device.name}: fault: ${words.join(" ")}`);
    return this.#begin(fault);
  }

  /** One could not be had, and nobody waited for it. */
  failed(error: Error): void {
    this.#log.warning(`${this.#device.name}: fault: ${error.message}`);
  }

  /** Those that are in effect. */
  list(): string[] {
    const replies = this.#replies.map(({ kind, op, ms, status, times }) => {
      const how = { drop: "", delay: ` ${ms}`, refuse: ` ${statusName(status)}` }[kind];
      return `${kind} ${op === null ? "any" : opName(op)}${how}${Number.isFinite(times) ? `, ${times} to come` : ""}`;
    });
    return [...replies, ...[...this.#lasting.values()].map(({ text }) => text)];
  }

  /** The fault that befalls a message of the driver's, null = none. It counts as used. */
  take(op: number): ReplyFault | null {
    const fault = this.#replies.find((each) => each.op === null || each.op === op);
    if (fault === undefined) return null;
    if (--fault.times <= 0) this.#replies = this.#replies.filter((each) => each !== fault);
    this.#log.notice(`${this.#device.name}: fault: ${opName(op)} is ${DONE[fault.kind]}`);
    return fault;
  }

  /** Ends all of them. */
  clear(): void {
    this.#replies = [];
    this.#flaps = 0;
    for (const key of [...this.#lasting.keys()]) this.#end(key);
  }

  /** Forgets all of them; the device is going away. */
  close(): void {
    this.#replies = [];
    for (const { timer } of this.#lasting.values()) if (timer !== null) clearTimeout(timer);
    this.#lasting.clear();
  }

  async #begin(fault: Fault): Promise<void> {
    const { resets } = this.#device;
    switch (fault.kind) {
      case "drop":
      case "delay":
      case "refuse":
        this.#replies.push(fault);
        return;
      case "reset":
        this.#device.admin.send(VIRTCHNL_OP.EVENT, 0, resetEvent());
        this.#last("reset", fault.ms, () => resets.vfReset());
        return;
      case "surprise-reset":
        return resets.vfReset();
      case "link":
        this.#flaps = 0;
        if (!fault.up) this.#linkGoesDown(0);
        else for (const key of ["link down", "link to go down again"]) this.#end(key);
        return;
      case "flap":
        this.#flaps = fault.times;
        return this.#flap(fault.ms);
      case "stall":
        await Promise.all(fault.queues.map((queue) => this.#stall(queue, fault.ms)));
        return;
      case "descriptor":
        return this.#spoil(fault.queue, fault.error);
      case "mute":
        await Promise.all(fault.vectors.map((vector) => this.#mute(vector, fault.ms)));
        return;
      case "spurious":
        return this.#spurious(fault.vectors, fault.times);
      case "dead":
        this.dead = true;
        this.#last("dead", fault.ms, () => {
          this.dead = false;
        });
        return;
      default:
        this.clear();
    }
  }

  /** Something lasts until `clear`, or for `ms` unless that is 0. The same again replaces it without an end between. */
  #last(key: string, ms: number, end: () => void): void {
    const timer = this.#lasting.get(key)?.timer ?? null;
    if (timer !== null) clearTimeout(timer);
    const text = ms > 0 ? `${key}, for ${ms} ms` : key;
    this.#lasting.set(key, { text, end, timer: ms > 0 ? setTimeout(() => this.#end(key), ms).unref() : null });
  }

  #end(key: string): void {
    const lasting = this.#lasting.get(key);
    if (lasting === undefined) return;
    this.#lasting.delete(key);
    if (lasting.timer !== null) clearTimeout(lasting.timer);
    lasting.end();
  }

  /** @param ms so long, 0 = until it is said to be up */
  #linkGoesDown(ms: number): void {
    const { link } = this.#device;
    this.linkDown = true;
    link.update();
    this.#last("link down", ms, () => {
      this.linkDown = false;
      link.update();
      if (this.#flaps > 0) this.#last("link to go down again", ms, () => this.#flap(ms));
    });
  }

  #flap(ms: number): void {
    if (this.#flaps <= 0) return;
    this.#flaps--;
    this.#linkGoesDown(ms);
  }

  /** The backend lets go of the queue, and does not get it back whatever the driver does. */
  async #stall(queue: number, ms: number): Promise<void> {
    const { backend } = this.#device;
    this.stalled.add(queue);
    this.#last(`stall ${nameOf(queue)}`, ms, () => {
      this.stalled.delete(queue);
      if (queueOf(this.#device.vf, queue)?.enabled) void backend.enable([queue]);
    });
    await backend.disable([queue]);
  }

  /** Between two packets, a descriptor comes back that none should: the queue is taken from the backend for that time. */
  async #spoil(queue: number, error: DescriptorError): Promise<void> {
    const device = this.#device;
    const { backend, doorbells, interrupts, memory, positions, vf } = device;
    const state = queueOf(vf, queue);
    if (!state?.enabled || state.info === null) throw wrong(`${nameOf(queue)} is not enabled by a driver`);
    await backend.disable([queue]);
    try {
      if (device.vf !== vf || !state.enabled) throw wrong(`${nameOf(queue)} was disabled meanwhile`);
      const { ringAddr, ringLen } = state.info;
      const head = positions.get(queue) & QPOS_INDEX;
      for (let ms = 0; head === doorbells.tail(queue) && ms < BUFFER_MS; ms++)
        await new Promise((resolve) => setTimeout(resolve, 1));
      if (head === doorbells.tail(queue)) throw wrong(`the driver has given ${nameOf(queue)} no buffer`);
      const at = ringAddr + BigInt(head * RX_DESC_BYTES);
      const { head: first, rest } = wrongDescriptor(error);
      await memory.write(at + BigInt(first.length), rest).catch(unreachable);
      await memory.write(at, first).catch(unreachable); // DD last
      if (device.vf === vf && state.enabled) positions.set(queue, (head + 1) % ringLen);
    } finally {
      if (device.vf === vf && state.enabled && !this.stalled.has(queue)) await backend.enable([queue]);
    }
    interrupts.vectors[state.vector]?.raise();
  }

  /** What is raised meanwhile is never signalled; an interrupt that comes after the end is. */
  async #mute(number: number, ms: number): Promise<void> {
    const vector = this.#device.interrupts.vectors[number]!;
    this.#last(`mute ${number}`, ms, () => {
      vector.clearPending();
      vector.release();
    });
    await vector.hold();
  }

  #spurious(numbers: readonly number[], times: number): void {
    for (const number of numbers) {
      const { fd } = this.#device.interrupts.vectors[number]!;
      for (let i = 0; fd >= 0 && i < times; i++) signalEventfd(fd);
    }
  }
}

const nameOf = (queue: number): string => `${(queue & 1) === 1 ? "tx" : "rx"}${queue >> 1}`;

const DONE = { drop: "dropped", delay: "to be answered late", refuse: "refused" };

const wrong = (message: string): EmuIavfError => new EmuIavfError("FAULT", message);

function unreachable(error: Error): never {
  throw wrong(`the ring cannot be written: ${error.message}`);
}
