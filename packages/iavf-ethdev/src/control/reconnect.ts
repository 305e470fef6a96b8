// Looks for a server that went away until it is there again and its device has been taken up: tries with growing pauses
// (backoff.ts), for ever, until it is called off. Each kind of failure is logged once, since a server that is away for an hour
// fails in the same way thousands of times. Called by session.ts.
import type { Logger } from "@emudev/eal";
import { backoffMs } from "./backoff.ts";
import { reasonOf } from "./errors.ts";
import type { Transport } from "./transport.ts";

export interface Search {
  name: string;
  log: Logger;
  /** Called off when it is aborted. */
  signal: AbortSignal;
  connect(): Promise<Transport>;
  /** Goes on with the device behind a connection; what it throws ends that connection and the search goes on. */
  takeUp(transport: Transport): Promise<void>;
  /** Gives a connection back that was not taken up. */
  release(transport: Transport): Promise<void>;
  /** Whether no other try can help; the connection is left then. */
  isFinal(error: unknown): boolean;
  /** A try has failed. */
  failed(attempts: number, error: unknown): void;
}

/** Resolves when a device was taken up, or the search was called off. @throws what isFinal says */
export async function reconnect(search: Search): Promise<void> {
  const { name, log, signal } = search;
  const told = new Set<string>();
  for (let attempt = 0; ; attempt++) {
    await pause(backoffMs(attempt, Math.random()), signal);
    if (signal.aborted) return;
    let transport: Transport | null = null;
    try {
      transport = await search.connect();
      if (!signal.aborted) return await search.takeUp(transport);
    } catch (error) {
      if (!signal.aborted && search.isFinal(error)) throw error;
      const why = reasonOf(error);
      if (!signal.aborted) search.failed(attempt + 1, error);
      if (!told.has(why) && !signal.aborted) log.notice(`${name}: not connected: ${why}; trying again`);
      told.add(why);
    }
    if (transport !== null) await search.release(transport);
  }
}

/** Ends early when `signal` is aborted. The timer keeps the process alive, as the socket did. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
  });
}
