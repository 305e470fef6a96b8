// The states of the driver's side of a device, and what may happen in each: a table and a pure function. "Ready" is up to the
// admin queue, with no data queue enabled; "failed" is a device that reset itself or stopped answering, which only a reset
// by the application mends. A closed socket leads to "reconnecting" and, once there is another one, to "resuming", or, where
// that is not wanted, to "gone", which nothing mends but a new probe.
export const STATES = [
  "closed",
  "opening",
  "ready",
  "starting",
  "running",
  "stopping",
  "reconnecting",
  "resuming",
  "failed",
  "gone",
] as const;
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
  /** The socket closed, and nobody looks for another one. */
  "lost",
  /** The socket closed; another connection is looked for. */
  "cut",
  /** There is another connection. */
  "connected",
  /** The device behind it is as it was when the data queues were being configured. */
  "configuring",
  /** The application gives the device up. */
  "close",
] as const;
export type Event = (typeof EVENTS)[number];

/** What can happen wherever there is a connection. */
const CONNECTED = { fault: "failed", lost: "gone", cut: "reconnecting", close: "closed" } as const;

const TABLE: Readonly<Record<State, Partial<Record<Event, State>>>> = {
  closed: { open: "opening", close: "closed" },
  opening: { opened: "ready", ...CONNECTED },
  ready: { start: "starting", ...CONNECTED },
  starting: { started: "running", stopped: "ready", ...CONNECTED },
  running: { stop: "stopping", ...CONNECTED },
  stopping: { stopped: "ready", ...CONNECTED },
  reconnecting: { connected: "resuming", lost: "gone", cut: "reconnecting", close: "closed" },
  resuming: { opened: "ready", configuring: "starting", started: "running", ...CONNECTED },
  failed: { open: "opening", ...CONNECTED },
  gone: { fault: "gone", lost: "gone", close: "closed" },
};

/** The state after an event, or null when it cannot happen there. */
export function next(state: State, event: Event): State | null {
  return TABLE[state][event] ?? null;
}

/** Whether the data queues may be in use by the device. */
export const isActive = (state: State): boolean => state === "starting" || state === "running" || state === "stopping";

/** Whether the device is away and being looked for. */
export const isAway = (state: State): boolean => state === "reconnecting" || state === "resuming";

/** The state as an error names it, with the way out where there is one. */
export const stuck = (state: State): string => (state === "failed" ? "failed; the port must be reset" : state);
