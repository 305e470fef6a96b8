// Where a trace goes: lines of text or JSON to the standard output, pcapng to a file or the standard output, and every message
// into the summary. The filter is for what is printed; a capture file has everything, since it can be filtered when it is read.
import { closeSync, openSync, writeSync } from "node:fs";
import type { Context } from "../command.ts";
import type { Entry } from "./entry.ts";
import type { Filter } from "./filter.ts";
import { jsonEvent, jsonLine, jsonSummary } from "./format/json.ts";
import { PcapngWriter } from "./format/pcapng.ts";
import { coloured, eventLine, plain, textLine } from "./format/text.ts";
import type { Event } from "./proxy/proxy.ts";
import { Summary } from "./summary.ts";

export type Format = "text" | "json" | "pcapng";

export interface SinkOptions {
  format: Format;
  /** Path of a capture file to write besides. */
  write: string | undefined;
  filter: Filter;
  colour: boolean;
}

export class Sink {
  readonly #options: SinkOptions;
  readonly #context: Context;
  readonly #captures: PcapngWriter[] = [];
  readonly #file: CaptureFile | null;
  readonly #summary = new Summary();

  /** @throws Error of the file system where the capture file cannot be made */
  constructor(options: SinkOptions, context: Context) {
    this.#options = options;
    this.#context = context;
    this.#file = options.write === undefined ? null : new CaptureFile(options.write);
    const file = this.#file;
    if (file !== null) this.#captures.push(new PcapngWriter((bytes) => file.add(bytes)));
    if (options.format === "pcapng") this.#captures.push(new PcapngWriter((bytes) => process.stdout.write(bytes)));
  }

  message(entry: Entry): void {
    this.#summary.add(entry);
    for (const capture of this.#captures) capture.add(entry);
    const { format, filter, colour } = this.#options;
    if (format === "pcapng" || !filter(entry)) return;
    this.#context.out.line(format === "json" ? jsonLine(entry) : textLine(entry, colour ? coloured : plain));
  }

  event(event: Event): void {
    const { format, colour } = this.#options;
    if (format === "text") this.#context.out.line(eventLine(event, colour ? coloured : plain));
    else if (format === "json") this.#context.out.line(jsonEvent(event));
    else this.#context.warn(eventLine(event));
  }

  /** A promise while the reader of the standard output is behind. */
  behind(): Promise<void> | null {
    return this.#context.out.behind();
  }

  /** The summary, and the end of the file. */
  close(): void {
    const { format } = this.#options;
    this.#file?.close();
    if (format === "json") this.#context.out.line(jsonSummary(this.#summary));
    else if (format === "pcapng") for (const line of this.#summary.lines()) this.#context.warn(line);
    else for (const line of ["", ...this.#summary.lines()]) this.#context.out.line(line);
  }
}

/** Blocks are gathered over one turn of the event loop, so that a burst of messages is one write. */
class CaptureFile {
  readonly #fd: number;
  #waiting: Uint8Array[] = [];

  constructor(path: string) {
    this.#fd = openSync(path, "w");
  }

  add(bytes: Uint8Array): void {
    if (this.#waiting.length === 0) setImmediate(() => this.#flush());
    this.#waiting.push(bytes);
  }

  close(): void {
    this.#flush();
    closeSync(this.#fd);
  }

  #flush(): void {
    if (this.#waiting.length === 0) return;
    const bytes = Buffer.concat(this.#waiting);
    this.#waiting = [];
    for (let done = 0; done < bytes.length; ) done += writeSync(this.#fd, bytes, done);
  }
}
