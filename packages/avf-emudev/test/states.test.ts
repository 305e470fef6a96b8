// The reset machine: the whole product of states and events, and what a driver reads in VFGEN_RSTAT meanwhile.
import { expect, test } from "vitest";
import { EVENTS, next, rstat, STATES } from "../src/control/states.ts";

test("every state under every event", () => {
  const table = Object.fromEntries(
    STATES.map((state) => [state, Object.fromEntries(EVENTS.map((event) => [event, next(state, event)]))]),
  );
  expect(table).toEqual({
    active: { vfReset: "resetting", deviceReset: "quiescing", done: null },
    resetting: { vfReset: null, deviceReset: "quiescing", done: "active" },
    quiescing: { vfReset: null, deviceReset: "quiescing", done: "active" },
  });
});

test("only a reset by the driver is seen as in progress", () => {
  expect(STATES.map((state) => [state, rstat(state)])).toEqual([
    ["active", 2],
    ["resetting", 0],
    ["quiescing", 2],
  ]);
});
