// Test peers: a device that records every callback, and a raw socket end that sends and reads bytes as they are, so
// that a test can play any client or server. Everything is real: unix sockets, memfds, eventfds.

import { mkdirSync } from "node:fs";
import { closeFd, SocketMessenger, shutdownFd, unixConnect, watch } from "@emudev/linux";
import {
  type ClientInfo,
  type Clock,
  type DmaRegion,
  IRQ_FLAG,
  type Log,
  PciConfig,
  type VfioUserDevice,
  wire,
} from "../src/index.ts";

const folder = `/tmp/vfio-user/${process.pid}`;
let sockets = 0;

export function newPath(): string {
  mkdirSync(folder, { recursive: true });
  return `${folder}/${sockets++}.sock`;
}

export class LogBook implements Log {
  lines: string[] = [];
  error = (message: string): void => void this.lines.push(`error ${message}`);
  warning = (message: string): void => void this.lines.push(`warning ${message}`);
  notice = (message: string): void => void this.lines.push(`notice ${message}`);
  info = (message: string): void => void this.lines.push(`info ${message}`);
  debug = (message: string): void => void this.lines.push(`debug ${message}`);
  get errors(): string[] {
    return this.lines.filter((line) => line.startsWith("error"));
  }
}

/** Time that passes when a test says so. */
export class ManualClock implements Clock {
  #now = 0;
  #timers = new Set<{ at: number; callback: () => void }>();

  now(): number {
    return this.#now;
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { at: this.#now + ms, callback };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  pass(ms: number): void {
    this.#now += ms;
    for (const timer of [...this.#timers]) {
      if (timer.at <= this.#now && this.#timers.delete(timer)) timer.callback();
    }
  }
}

/** A promise and the function that resolves it. */
export function gate(): { promise: Promise<void>; open: () => void } {
  let open = (): void => {};
  const promise = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { promise, open };
}

export const BAR0_BYTES = 0x10000;

/**
 * BAR0 is plain memory, BAR3 holds an MSI-X table, region 7 is configuration space. `hooks` replace or delay
 * callbacks.
 */
export class TestDevice implements VfioUserDevice {
  info = { resettable: true };
  calls: string[] = [];
  bar0 = new Uint8Array(BAR0_BYTES);
  config = new PciConfig({
    vendorId: 0x8086,
    deviceId: 0x1889,
    classCode: 0x020000,
    bars: [
      { index: 0, bytes: BAR0_BYTES, kind: "mem64", prefetchable: true },
      { index: 3, bytes: 0x4000, kind: "mem64", prefetchable: true },
    ],
    msix: { at: 0x70, vectors: 5, table: { bar: 3, offset: 0 }, pba: { bar: 3, offset: 0x2000 } },
    pcie: { at: 0xa0, flr: true },
    onFlr: () => this.reset("flr"),
  });
  regions: VfioUserDevice["regions"] = [
    { index: 0, size: BAR0_BYTES, flags: 3 },
    { index: 3, size: 0x4000, flags: 3 },
    this.config.region,
  ];
  irqs = [
    { index: 2, count: 5, flags: IRQ_FLAG.EVENTFD },
    { index: 3, count: 1, flags: IRQ_FLAG.EVENTFD },
    { index: 4, count: 1, flags: IRQ_FLAG.EVENTFD },
  ];
  /** Awaited at the start of the callback of that name. */
  hold: Partial<Record<string, (...args: never[]) => void | Promise<void>>> = {};
  irqFds = new Map<string, number>();

  regionRead(index: number, offset: number, into: Uint8Array): void | Promise<void> {
    return this.#do(`read ${index}+${offset}:${into.length}`, "regionRead", [index, offset], () => {
      if (index === 7) this.config.read(offset, into);
      else into.set(this.bar0.subarray(offset, offset + into.length));
    });
  }

  regionWrite(index: number, offset: number, data: Uint8Array, posted: boolean): void | Promise<void> {
    const call = `${posted ? "post" : "write"} ${index}+${offset}:${[...data.subarray(0, 32)]}`;
    return this.#do(call, "regionWrite", [index, offset, data], () => {
      if (index === 7) return this.config.write(offset, data);
      this.bar0.set(data, offset);
    });
  }

  dmaMap({ iova, size, prot, fd, fileOffset }: DmaRegion): void | Promise<void> {
    const call = `map ${iova}+${size} prot ${prot} ${fd < 0 ? "no fd" : "fd"}@${fileOffset}`;
    return this.#do(call, "dmaMap", [], () => {
      if (fd >= 0) closeFd(fd);
    });
  }

  dmaUnmap(iova: bigint, size: bigint): void | Promise<void> {
    return this.#do(`unmap ${iova}+${size}`, "dmaUnmap", [], () => {});
  }

  dmaUnmapAll(): void | Promise<void> {
    return this.#do("unmap all", "dmaUnmapAll", [], () => {});
  }

  setIrqs(index: number, start: number, fds: readonly number[]): void | Promise<void> {
    return this.#do(`irqs ${index}+${start}:${fds.map((fd) => (fd < 0 ? "-" : "fd"))}`, "setIrqs", [], () => {
      fds.forEach((fd, i) => {
        const key = `${index}.${start + i}`;
        const old = this.irqFds.get(key) ?? -1;
        if (old >= 0) closeFd(old);
        this.irqFds.set(key, fd);
      });
    });
  }

  maskIrqs(index: number, start: number, count: number, masked: boolean): void {
    this.calls.push(`${masked ? "mask" : "unmask"} ${index}+${start}:${count}`);
  }

  reset(reason: string): void | Promise<void> {
    return this.#do(`reset ${reason}`, "reset", [], () => {});
  }

  connected(_client: ClientInfo): void {
    this.calls.push("connected");
  }

  disconnected(): void {
    this.calls.push("disconnected");
  }

  /** The calls since the last look. */
  take(): string[] {
    return this.calls.splice(0);
  }

  #do(call: string, name: string, args: unknown[], action: () => void | Promise<void>): void | Promise<void> {
    this.calls.push(call);
    const held = this.hold[name]?.(...(args as never[]));
    return held === undefined ? action() : held.then(action);
  }
}

export interface RawMessage {
  header: wire.header.Header;
  body: Uint8Array;
  view: DataView;
  fds: number[];
}

/** One end of a socket, byte by byte. */
export class RawPeer {
  readonly fd: number;
  #messenger: SocketMessenger;
  #id = 0;

  constructor(target: string | number) {
    this.fd = typeof target === "string" ? unixConnect(target) : target;
    this.#messenger = new SocketMessenger(this.fd);
  }

  /** Sends all of it, waiting for room. */
  async send(bytes: Uint8Array, fds?: readonly number[]): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      const sent = this.#messenger.send(bytes, at, bytes.length - at, at === 0 ? fds : undefined);
      if (sent > 0) at += sent;
      else await ready(this.fd, { writable: true });
    }
  }

  /** Bytes read, null at the end of the stream. */
  async bytes(count: number, fds: number[] = []): Promise<Uint8Array | null> {
    const into = new Uint8Array(count);
    for (let at = 0; at < count; ) {
      let got = -1;
      try {
        got = this.#messenger.recv(into, at, count - at);
      } catch {
        return null;
      }
      if (got === 0) return null;
      if (got < 0) await ready(this.fd, { readable: true });
      else {
        at += got;
        fds.push(...this.#messenger.fds);
      }
    }
    return into;
  }

  /** The next message, null at the end of the stream. */
  async receive(): Promise<RawMessage | null> {
    const fds: number[] = [];
    const head = await this.bytes(16, fds);
    if (head === null) return null;
    const header = wire.header.decode(new DataView(head.buffer), 0, 16) as wire.header.Header;
    const body = header.size > 16 ? await this.bytes(header.size - 16, fds) : new Uint8Array(0);
    if (body === null) return null;
    return { header, body, view: new DataView(body.buffer), fds };
  }

  /** Sends a command and returns the next message. */
  async ask(command: number, body: Uint8Array = new Uint8Array(0), options: AskOptions = {}): Promise<RawMessage> {
    await this.send(message(options.id ?? this.#id++, command, body, options), options.fds);
    const reply = await this.receive();
    if (reply === null) throw new Error("the connection ended instead of a reply");
    return reply;
  }

  /** The errno of the reply, 0 for success. */
  async errno(command: number, body?: Uint8Array, options: AskOptions = {}): Promise<number> {
    const { header, body: payload, fds } = await this.ask(command, body, options);
    for (const fd of fds) closeFd(fd);
    if ((header.flags & 0x20) === 0) return 0;
    if (payload.length !== 0 || header.flags !== 0x21) throw new Error("an error reply is the header alone");
    return header.error;
  }

  async greet(json: string | null = '{"capabilities":{"max_msg_fds":8}}\0', minor = 0): Promise<RawMessage> {
    return this.ask(1, versionBody(0, minor, json));
  }

  /** Ends the connection and keeps the fd. */
  shutdown(): void {
    shutdownFd(this.fd);
  }

  close(): void {
    closeFd(this.fd);
  }
}

export interface AskOptions {
  id?: number;
  fds?: readonly number[];
  flags?: number;
  size?: number;
}

export function message(id: number, command: number, body: Uint8Array, options: AskOptions = {}): Uint8Array {
  const bytes = new Uint8Array(16 + body.length);
  const { flags = 0, size = bytes.length } = options;
  wire.header.encodeInto(new DataView(bytes.buffer), 0, { id, command, size, flags, error: 0 });
  bytes.set(body, 16);
  return bytes;
}

export function versionBody(major: number, minor: number, json: string | null): Uint8Array {
  const text = json === null ? new Uint8Array(0) : new TextEncoder().encode(json);
  const body = new Uint8Array(4 + text.length);
  wire.version.encodeInto(new DataView(body.buffer), 0, { major, minor, json: text });
  return body;
}

/** A payload of u32 (number) and u64 (bigint) fields. */
export function fields(...values: (number | bigint)[]): Uint8Array {
  const bytes = new Uint8Array(values.reduce<number>((sum, value) => sum + (typeof value === "bigint" ? 8 : 4), 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const value of values) {
    if (typeof value === "bigint") view.setBigUint64(at, value, true);
    else view.setUint32(at, value, true);
    at += typeof value === "bigint" ? 8 : 4;
  }
  return bytes;
}

export function concat(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

function ready(fd: number, interest: { readable?: boolean; writable?: boolean }): Promise<void> {
  return new Promise((resolve) => {
    const watcher = watch(fd, interest, () => {
      watcher.close();
      resolve();
    });
  });
}

/** Resolves when `condition` holds; the event loop turns meanwhile. */
export async function until(condition: () => boolean, what = "a condition"): Promise<void> {
  const end = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`${what} never came to hold`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
