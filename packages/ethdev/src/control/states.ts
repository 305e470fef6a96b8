// The life of a port as a table, after rte_ethdev: configure, set queues up, start, stop, close. `null` means that the
// event is quietly nothing (start of a started port returns 0 in DPDK), a missing entry that it is refused. Pure; the
// effects are eth-dev.ts's.

export type PortState = "unconfigured" | "configured" | "started" | "stopped" | "closed";
export type PortEvent = "configure" | "queueSetup" | "start" | "stop" | "reset" | "close";

export const PORT_STATES: readonly PortState[] = ["unconfigured", "configured", "started", "stopped", "closed"];
export const PORT_EVENTS: readonly PortEvent[] = ["configure", "queueSetup", "start", "stop", "reset", "close"];

const TRANSITIONS: Record<PortState, Partial<Record<PortEvent, PortState | null>>> = {
  unconfigured: { configure: "configured", stop: null, reset: "unconfigured", close: "closed" },
  configured: {
    configure: "configured",
    queueSetup: "configured",
    start: "started",
    stop: null,
    reset: "unconfigured",
    close: "closed",
  },
  started: { start: null, stop: "stopped", reset: "unconfigured", close: "closed" },
  stopped: {
    configure: "configured",
    queueSetup: "stopped",
    start: "started",
    stop: null,
    reset: "unconfigured",
    close: "closed",
  },
  closed: { close: null },
};

/** The state after an event, null when nothing is to be done, undefined when the event is refused in this state. */
export function nextState(state: PortState, event: PortEvent): PortState | null | undefined {
  return TRANSITIONS[state][event];
}

/** What to do about a refused event. */
export function adviceFor(state: PortState, event: PortEvent): string {
  if (state === "closed") return "it is closed";
  if (state === "started") return "stop it first";
  return event === "start" || event === "queueSetup" ? "configure it first" : `it is ${state}`;
}
