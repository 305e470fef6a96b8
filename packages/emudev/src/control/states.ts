// The life cycle of an emudev as a table of State x Event. The original header gives four calls and no states; these are
// ethdev's, which its users know: configure before start, stop before configure, close ends all. A cell without a state
// is an illegal transition; a cell that names the row itself means the call succeeds and does nothing, configure apart.

export const STATES = ["unconfigured", "configured", "started", "stopped", "closed", "released"] as const;
export const EVENTS_OF_LIFE = ["configure", "start", "stop", "close", "release"] as const;
export type State = (typeof STATES)[number];
export type LifeEvent = (typeof EVENTS_OF_LIFE)[number];

const TRANSITIONS: Record<State, Partial<Record<LifeEvent, State>>> = {
  unconfigured: { configure: "configured", close: "closed", release: "released" },
  configured: { configure: "configured", start: "started", close: "closed" },
  started: { start: "started", stop: "stopped", close: "closed" }, // close stops first
  stopped: { configure: "configured", start: "started", stop: "stopped", close: "closed" },
  closed: { close: "closed", release: "released" },
  released: {},
};

/**
 * The state after an event.
 * @returns null for an illegal transition
 */
export function next(state: State, event: LifeEvent): State | null {
  return TRANSITIONS[state][event] ?? null;
}

/** The events that are legal in a state, for messages. */
export function legalEvents(state: State): LifeEvent[] {
  return EVENTS_OF_LIFE.filter((event) => next(state, event) !== null);
}
