// The reset states of a Virtual Function, and what its driver sees of them in VFGEN_RSTAT. A RESET_VF message takes the function
// through `resetting`: RSTAT reads "in progress" for RESET_MS at least. DEVICE_RESET, a function level reset and a client that
// leaves take it through `quiescing`: RSTAT reads "active" at once, but the client is answered only at the end. In both, the
// admin queues are off and the backend is letting go of the guest's queues. reset.ts performs the effects.
import { RSTAT_INPROGRESS, RSTAT_VFACTIVE } from "@emudev/avf";

export const STATES = ["active", "resetting", "quiescing"] as const;
export type State = (typeof STATES)[number];

/** `done`: the backend has let go, and RESET_MS are over where they count. */
export const EVENTS = ["vfReset", "deviceReset", "done"] as const;
export type Event = (typeof EVENTS)[number];

const TRANSITIONS: Record<State, Partial<Record<Event, State>>> = {
  active: { vfReset: "resetting", deviceReset: "quiescing" },
  resetting: { deviceReset: "quiescing", done: "active" },
  quiescing: { deviceReset: "quiescing", done: "active" },
};

/** The state after `event`, or null when the event means nothing in this state. */
export function next(state: State, event: Event): State | null {
  return TRANSITIONS[state][event] ?? null;
}

/** What VFGEN_RSTAT reads. */
export const rstat = (state: State): number => (state === "resetting" ? RSTAT_INPROGRESS : RSTAT_VFACTIVE);

/** Milliseconds that a RESET_VF lasts at least: drivers look every 10 ms and want to have seen it. */
export const RESET_MS = 15;
