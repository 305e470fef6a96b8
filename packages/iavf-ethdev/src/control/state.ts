// The states of the driver's side of a device, and what may happen in each: a table and a pure function. "Ready" is up to the
// admin queue, with no data queue enabled; "failed" is a device that reset itself or stopped answering, which only a reset
// by the application mends; "gone" is a closed socket, which nothing mends but a new probe.
export const STATES = ["closed", "opening", "ready", "starting", "running", "stopping", "failed", "gone"] as const;
export type State = (typeof STATES)[number];

export const EVENTS = [
  /** Connect and bring the admin queue up. */
  "open",
  "opened",
  /** Configure and enable the data queues. */
  "start",
  "started",
  /** Disable them. */
  "stop",
  "stopped",
  /** The device reset itself, or did not answer. */
  "fault",
  /** The socket closed. */
  "lost",
  /** The application gives the device up. */
  "close",
] as const;
export type Event = (typeof EVENTS)[number];

const TABLE: Readonly<Record<State, Partial<Record<Event, State>>>> = {
  closed: { open: "opening", close: "closed" },
  opening: { opened: "ready", fault: "failed", lost: "gone", close: "closed" },
  ready: { start: "starting", fault: "failed", lost: "gone", close: "closed" },
  starting: { started: "running", stopped: "ready", fault: "failed", lost: "gone", close: "closed" },
  running: { stop: "stopping", fault: "failed", lost: "gone", close: "closed" },
  stopping: { stopped: "ready", fault: "failed", lost: "gone", close: "closed" },
  failed: { open: "opening", fault: "failed", lost: "gone", close: "closed" },
  gone: { fault: "gone", lost: "gone", close: "closed" },
};

/** The state after an event, or null when it cannot happen there. */
export function next(state: State, event: Event): State | null {
  return TABLE[state][event] ?? null;
}

/** Whether the data queues may be in use by the device. */
export const isActive = (state: State): boolean => state === "starting" || state === "running" || state === "stopping";
