// What this package takes from its process as arguments, so that it can be used outside any framework: where to log,
// what time it is, and (for the original library's memory table alone) how to map memory. Each has a default.

/** DPDK's log levels as far as they are used here. Messages are single sentences without a prefix. */
export interface Log {
  error(message: string): void;
  warning(message: string): void;
  notice(message: string): void;
  info(message: string): void;
  debug(message: string): void;
}

/** Milliseconds that never go back, and one-shot timers. `after` returns its own cancellation. */
export interface Clock {
  now(): number;
  after(ms: number, callback: () => void): () => void;
}

const nothing = (): void => {};

export const SILENT: Log = { error: nothing, warning: nothing, notice: nothing, info: nothing, debug: nothing };

/** Timers do not keep the process alive: the socket that they watch over does. */
export const SYSTEM_CLOCK: Clock = {
  now: () => performance.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
};
