// `vfu trace` at work: a proxy and what it tells, until a signal ends it; or a capture file, read to its end. Called by
// commands/trace.ts.
import { existsSync, readFileSync } from "node:fs";
import { PcapError, readPcapng } from "@emudev/net";
import { VfioUserError } from "@emudev/vfio-user";
import type { Context } from "../command.ts";
import { reason, VfuError } from "../errors.ts";
import { passedOf } from "./format/pcapng.ts";
import { TraceProxy } from "./proxy/proxy.ts";
import { Sink, type SinkOptions } from "./sink.ts";
import { Tracer } from "./tracer.ts";

export interface TraceOptions extends SinkOptions {
  /** Bytes of data that a line shows. */
  hex: number;
}

/** Stands between `listen` and `server` until the context's signal. @throws VfuError where it cannot listen */
export async function traceSocket(
  { listen, server, trap }: { listen: string; server: string; trap: boolean },
  options: TraceOptions,
  context: Context,
): Promise<number> {
  const tracer = new Tracer({ dataMost: options.hex });
  const sink = openSink(options, context);
  let proxy: TraceProxy;
  try {
    proxy = new TraceProxy({
      listen,
      server,
      trap,
      passed: (message) => sink.message(tracer.entry(message)),
      event: (event) => {
        if (event.event === "disconnect") tracer.forget(event.connection);
        sink.event(event);
      },
      behind: () => sink.behind(),
    });
  } catch (error) {
    throw error instanceof VfioUserError ? new VfuError("TARGET", error.message, { cause: error }) : error;
  }
  if (!existsSync(server)) context.warn(`${server} is not there yet; until it is, clients are turned away`);
  context.warn(`clients connect to ${listen}; ^C ends the trace`);
  await aborted(context.signal);
  proxy.stop();
  sink.close();
  return 0;
}

/** Prints a capture file. @throws VfuError where there is none */
export function traceFile(path: string, options: TraceOptions, context: Context): number {
  let file: Uint8Array;
  try {
    file = readFileSync(path);
  } catch (error) {
    throw new VfuError("USAGE", `${path}: ${reason(error)}`, { cause: error });
  }
  const tracer = new Tracer({ dataMost: options.hex });
  const sink = openSink(options, context);
  let foreign = 0;
  let status = 0;
  try {
    for (const packet of readPcapng(file)) {
      const message = passedOf(packet);
      if (message === null) foreign++;
      else sink.message(tracer.entry(message));
      if (context.signal.aborted) break;
    }
  } catch (error) {
    if (!(error instanceof PcapError)) throw error;
    context.warn(`${path}: ${error.message}`);
    status = 1;
  }
  if (foreign > 0) context.warn(`${path}: ${foreign} packets are none of vfu trace and were passed over`);
  sink.close();
  return status;
}

function openSink(options: SinkOptions, context: Context): Sink {
  try {
    return new Sink(options, context);
  } catch (error) {
    throw new VfuError("USAGE", `--write: ${reason(error)}`, { cause: error });
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
