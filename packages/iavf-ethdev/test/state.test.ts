// The state machine, walked over its whole product of states and events.
import { describe, expect, it } from "vitest";
import { EVENTS, isActive, isAway, next, STATES } from "../src/control/state.ts";

describe("the states of a device", () => {
  it("reach a state of the table, or none, by every event", () => {
    for (const state of STATES)
      for (const event of EVENTS) {
        const after = next(state, event);
        if (after !== null) expect(STATES).toContain(after);
      }
  });

  it("can be closed from anywhere", () => {
    for (const state of STATES) expect(next(state, "close")).toBe("closed");
  });

  it("never leave 'gone' but by close: a connection does not come back", () => {
    for (const event of EVENTS) expect([null, "gone", "closed"]).toContain(next("gone", event));
  });

  it("notice a lost connection wherever there is one, or is one looked for", () => {
    for (const state of STATES) if (state !== "closed") expect(next(state, "lost")).toBe("gone");
    expect(next("closed", "lost")).toBeNull();
  });

  it("look for another connection wherever there was one, and resume only behind it", () => {
    for (const state of STATES)
      expect(next(state, "cut")).toBe(state === "closed" || state === "gone" ? null : "reconnecting");
    expect(STATES.filter((state) => next(state, "connected") !== null)).toEqual(["reconnecting"]);
    expect(STATES.filter(isAway)).toEqual(["reconnecting", "resuming"]);
    expect(EVENTS.map((event) => next("resuming", event)).filter((state) => state !== null)).toEqual(
      expect.arrayContaining(["ready", "starting", "running", "reconnecting", "failed", "gone", "closed"]),
    );
  });

  it("enable queues only on a device that is ready, and stop only running ones", () => {
    expect(STATES.filter((state) => next(state, "start") !== null)).toEqual(["ready"]);
    expect(STATES.filter((state) => next(state, "stop") !== null)).toEqual(["running"]);
    expect(STATES.filter(isActive)).toEqual(["starting", "running", "stopping"]);
  });

  it("bring a failed device back by open alone", () => {
    expect(EVENTS.filter((event) => next("failed", event) === "opening")).toEqual(["open"]);
  });
});
