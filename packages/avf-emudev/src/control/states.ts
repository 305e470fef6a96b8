// The reset states of a Virtual Function as its driver sees them in VFGEN_RSTAT. A RESET_VF message takes the function through
// `resetting` for RESET_MS, in which RSTAT reads 0 and the admin queues are off; DEVICE_RESET, a function level reset and a
// client that leaves put it back to `active` at once. device.ts performs the effects.
import { RSTAT_INPROGRESS, RSTAT_VFACTIVE } from "@emudev/avf";

export const STATES = ["active", "resetting"] as const;
export type State = (typeof STATES)[number];

export const EVENTS = ["vfReset", "deviceReset", "elapsed"] as const;
export type Event = (typeof EVENTS)[number];

const TRANSITIONS: Record<State, Partial<Record<Event, State>>> = {
  active: { vfReset: "resetting", deviceReset: "active" },
  resetting: { deviceReset: "active", elapsed: "active" },
};

/** The state after `event`, or null when the event means nothing in this state. */
export function next(state: State, event: Event): State | null {
  return TRANSITIONS[state][event] ?? null;
}

/** What VFGEN_RSTAT reads. */
export const rstat = (state: State): number => (state === "active" ? RSTAT_VFACTIVE : RSTAT_INPROGRESS);

/** Milliseconds that a RESET_VF lasts at least: drivers look every 10 ms and want to have seen it. */
export const RESET_MS = 15;
