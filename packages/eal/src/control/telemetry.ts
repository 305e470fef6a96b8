// Telemetry after DPDK's: a unix SOCK_SEQPACKET socket `dpdk_telemetry.v2` in the runtime directory, which dpdk-telemetry.py
// talks to. A client is greeted, then sends a message for each question, `/path` or `/path,parameter`, and gets one message of
// JSON, `{"/path": data}`; null where the path is unknown. Packages register paths through eal().telemetry. Nothing a client
// sends does more than cost one answer.
import { unlinkSync } from "node:fs";
import { closeFd, SocketMessenger, unixAccept, unixListen, type Watcher, watch } from "@emudev/linux";
import { reason } from "../errors.ts";
import type { Logger } from "./log.ts";

/** Answers one path; what it returns goes out as JSON, null meaning "no such thing". */
export type TelemetryHandler = (params: string, path: string) => unknown;

/** Bytes of a question, and of an answer: what its reader must have room for. */
const QUESTION_MAX = 1024;
const OUTPUT_MAX = 64 * 1024;
const CLIENTS_MAX = 10;

export class Telemetry {
  readonly #paths = new Map<string, { help: string; handler: TelemetryHandler }>();
  /** How each client is made to leave. */
  readonly #clients = new Set<() => void>();
  readonly #log: Logger;
  #closeServer: (() => void) | undefined;

  constructor(log: Logger) {
    this.#log = log;
    this.register("/", "Lists the commands.", () => [...this.#paths.keys()].sort());
    this.register("/help", "Prints help of a command. Parameter: the command.", (params) => {
      const entry = this.#paths.get(params);
      return entry === undefined ? null : { [params]: entry.help };
    });
  }

  /** Adds a path, or replaces it. */
  register(path: string, help: string, handler: TelemetryHandler): void {
    if (!/^\/[A-Za-z0-9_/-]*$/.test(path)) throw new TypeError(`telemetry path '${path}'`);
    this.#paths.set(path, { help, handler });
  }

  /** Answers a command as the socket would. */
  call(command: string): Record<string, unknown> {
    const comma = command.indexOf(",");
    const path = comma < 0 ? command : command.slice(0, comma);
    const entry = this.#paths.get(path);
    if (entry === undefined) return { [path]: null };
    try {
      return { [path]: entry.handler(comma < 0 ? "" : command.slice(comma + 1), path) ?? null };
    } catch (error) {
      this.#log.debug(`telemetry: ${command}: ${reason(error)}`);
      return { [path]: null };
    }
  }

  /**
   * Listens; the runtime directory is ours alone, so what lies at the path is stale.
   * @throws LinuxError where the socket cannot be made
   */
  listen(socketPath: string, greeting: Record<string, unknown>): void {
    remove(socketPath);
    const fd = unixListen(socketPath, CLIENTS_MAX, {}, "seqpacket");
    const watcher = watch(fd, { readable: true }, () => {
      for (let client = unixAccept(fd); client >= 0; client = unixAccept(fd)) this.#serve(client, greeting);
    });
    watcher.unref();
    this.#closeServer = () => {
      watcher.close();
      closeFd(fd);
      remove(socketPath);
    };
  }

  close(): void {
    this.#closeServer?.();
    this.#closeServer = undefined;
    for (const leave of [...this.#clients]) leave();
  }

  #serve(fd: number, greeting: Record<string, unknown>): void {
    if (this.#clients.size >= CLIENTS_MAX) {
      closeFd(fd);
      return;
    }
    const messenger = new SocketMessenger(fd, 0);
    const question = new Uint8Array(QUESTION_MAX);
    let watcher: Watcher | undefined;
    const leave = (): void => {
      if (!this.#clients.delete(leave)) return;
      watcher?.close();
      closeFd(fd);
    };
    const answer = (value: unknown): void => {
      const bytes = Buffer.from(JSON.stringify(value));
      // A client that asks and never reads has no room for the answer, and loses its connection.
      if (messenger.send(bytes, 0, bytes.length) !== bytes.length) leave();
    };
    this.#clients.add(leave);
    try {
      answer({ ...greeting, max_output_len: OUTPUT_MAX });
      watcher = watch(fd, { readable: true }, () => {
        try {
          const count = messenger.recv(question, 0, question.length);
          if (count === 0) leave();
          else if (count > 0) answer(this.#bounded(Buffer.from(question.buffer, 0, count).toString().trim()));
        } catch {
          leave();
        }
      });
      watcher.unref();
    } catch {
      leave();
    }
  }

  #bounded(command: string): Record<string, unknown> {
    const answer = this.call(command);
    if (Buffer.byteLength(JSON.stringify(answer)) <= OUTPUT_MAX) return answer;
    this.#log.debug(`telemetry: ${command}: the answer is longer than ${OUTPUT_MAX} bytes`);
    return { [Object.keys(answer)[0]!]: null };
  }
}

function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Not there: nothing to replace.
  }
}
