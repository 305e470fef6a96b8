// Telemetry after DPDK's: a unix stream socket `dpdk_telemetry.v2` in the runtime directory. A client sends a line, `/path` or
// `/path,parameter`, and gets one line of JSON, `{"/path": data}`; null where the path is unknown. Packages register paths
// through eal().telemetry. Nothing a client sends does more than cost one line of answer, and lines are bounded.
import { unlinkSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { reason } from "../errors.ts";
import type { Logger } from "./log.ts";

/** Answers one path; what it returns goes out as JSON, null meaning "no such thing". */
export type TelemetryHandler = (params: string, path: string) => unknown;

const LINE_MAX = 4096;
const OUTPUT_MAX = 1024 * 1024;
const CLIENTS_MAX = 10;

export class Telemetry {
  readonly #paths = new Map<string, { help: string; handler: TelemetryHandler }>();
  readonly #clients = new Set<Socket>();
  readonly #log: Logger;
  #server: Server | undefined;
  #socketPath = "";

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

  /** Listens; the runtime directory is ours alone, so what lies at the path is stale. */
  async listen(socketPath: string, greeting: Record<string, unknown>): Promise<void> {
    remove(socketPath);
    const server = createServer((socket) => this.#serve(socket, greeting));
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(socketPath, resolve);
    });
    server.on("error", (error) => this.#log.warning(`telemetry: ${error.message}`));
    server.unref();
    this.#server = server;
    this.#socketPath = socketPath;
  }

  async close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    for (const client of this.#clients) client.destroy();
    await new Promise((resolve) => server.close(resolve));
    remove(this.#socketPath);
  }

  #serve(socket: Socket, greeting: Record<string, unknown>): void {
    if (this.#clients.size >= CLIENTS_MAX) {
      socket.destroy();
      return;
    }
    this.#clients.add(socket);
    socket.unref();
    socket.setEncoding("utf8");
    socket.on("close", () => this.#clients.delete(socket));
    socket.on("error", () => socket.destroy());
    const answer = (value: unknown): void => {
      // A client that asks and never reads would fill our memory.
      if (socket.writableLength > OUTPUT_MAX) socket.destroy();
      else socket.write(`${JSON.stringify(value)}\n`);
    };
    answer({ ...greeting, max_output_len: OUTPUT_MAX });
    let pending = "";
    socket.on("data", (chunk: string) => {
      const lines = (pending + chunk).split("\n");
      pending = lines.pop()!;
      for (const line of lines) if (line.trim() !== "") answer(this.call(line.trim()));
      if (pending.length > LINE_MAX) socket.destroy();
    });
  }
}

function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Not there: nothing to replace.
  }
}
