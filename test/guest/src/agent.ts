// The host's end of the guest agent: QEMU connects the guest's second serial port to a unix socket of ours. A command goes
// out as one line, "ID BASE64"; the guest answers "DONE ID STATUS BYTES" and then that many bytes of output. "READY RELEASE
// CPUS" comes at every boot, so that a test can wait for a reboot. Used by qemu.ts alone.
import { rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { LabError } from "./lab-error.ts";

export interface RunResult {
  status: number;
  output: string;
}

interface Pending {
  id: number;
  resolve(result: RunResult): void;
  reject(error: LabError): void;
}

/** A command must fit the guest's terminal buffer, because it is read slowly. */
const MAX_LINE = 4000;

export class Agent {
  readonly #server: Server;
  #socket: Socket | null = null;
  #received = Buffer.alloc(0);
  #pending: Pending | null = null;
  #queue: Promise<unknown> = Promise.resolve();
  #next = 1;
  #readyCount = 0;
  #waiting: { count: number; resolve(): void; reject(error: LabError): void }[] = [];
  #gone: LabError | null = null;

  /** Listens at `path` for QEMU's connection. */
  constructor(path: string) {
    this.#server = createServer((socket) => this.#connected(socket));
    this.#server.listen(path);
    this.#server.unref();
    this.#server.on("close", () => rmSync(path, { force: true }));
  }

  /** How often the guest has come up so far. */
  get boots(): number {
    return this.#readyCount;
  }

  /** Resolves when the guest has come up `count` times. */
  ready(count: number): Promise<void> {
    if (this.#readyCount >= count) return Promise.resolve();
    if (this.#gone !== null) return Promise.reject(this.#gone);
    return new Promise((resolve, reject) => this.#waiting.push({ count, resolve, reject }));
  }

  /** Runs a shell command in the guest, after those before it; output is standard output and error together. */
  run(command: string, timeoutMs: number): Promise<RunResult> {
    const result = this.#queue.then(() => this.#run(command, timeoutMs));
    this.#queue = result.catch(() => {});
    return result;
  }

  #run(command: string, timeoutMs: number): Promise<RunResult> {
    const id = this.#next++;
    const line = `${id} ${Buffer.from(command).toString("base64")}\n`;
    if (line.length > MAX_LINE) throw new LabError("COMMAND", `command of ${command.length} bytes: send a shorter one`);
    if (this.#gone !== null) throw this.#gone;
    return new Promise((resolve, reject) => {
      const settled = <T>(done: (value: T) => void) => {
        return (value: T): void => {
          clearTimeout(timer);
          this.#pending = null;
          done(value);
        };
      };
      const timer = setTimeout(() => {
        settled(reject)(new LabError("TIMEOUT", `the guest did not finish '${command}' in ${timeoutMs / 1000} s`));
      }, timeoutMs);
      this.#pending = { id, resolve: settled(resolve), reject: settled(reject) };
      this.#socket?.write(line);
    });
  }

  /** Fails everything that waits; called when QEMU has ended. */
  close(reason: string): void {
    this.#gone ??= new LabError("GONE", reason);
    this.#pending?.reject(this.#gone);
    for (const waiter of this.#waiting.splice(0)) waiter.reject(this.#gone);
    this.#socket?.destroy();
    this.#server.close();
  }

  #connected(socket: Socket): void {
    this.#socket = socket;
    socket.on("error", () => {});
    socket.on("data", (data: Buffer) => {
      this.#received = Buffer.concat([this.#received, data]);
      while (this.#frame());
    });
  }

  /** Takes one frame off the received bytes; false when none is complete. Firmware noise before a frame is skipped. */
  #frame(): boolean {
    const newline = this.#received.indexOf(10);
    if (newline < 0) return false;
    const line = this.#received.toString("latin1", 0, newline);
    const done = /DONE (\d+) (\d+) (\d+)$/.exec(line);
    let used = newline + 1;
    if (done !== null) {
      const [id, status, bytes] = done.slice(1).map(Number) as [number, number, number];
      if (this.#received.length < used + bytes) return false;
      const output = this.#received.toString("utf8", used, used + bytes);
      used += bytes;
      if (this.#pending?.id === id) this.#pending.resolve({ status, output });
    } else if (/READY \S+ \d+$/.test(line)) {
      this.#readyCount++;
      this.#pending?.reject(new LabError("GONE", "the guest came up anew while a command ran"));
      const arrived = this.#waiting.filter(({ count }) => count <= this.#readyCount);
      this.#waiting = this.#waiting.filter((waiter) => !arrived.includes(waiter));
      for (const waiter of arrived) waiter.resolve();
    }
    this.#received = this.#received.subarray(used);
    return true;
  }
}
