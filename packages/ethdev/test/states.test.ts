// The port's life: the whole product of states and events against the rules of rte_ethdev.
import { describe, expect, it } from "vitest";
import { adviceFor, nextState, PORT_EVENTS, PORT_STATES } from "../src/index.ts";

describe("port states", () => {
  it("are as rte_ethdev's in every combination", () => {
    const table = PORT_STATES.map((state) => PORT_EVENTS.map((event) => nextState(state, event)));
    const no = undefined;
    const quiet = null;
    // configure, queueSetup, start, stop, reset, close
    expect(table).toEqual([
      ["configured", no, no, quiet, "unconfigured", "closed"], // unconfigured
      ["configured", "configured", "started", quiet, "unconfigured", "closed"], // configured
      [no, no, quiet, "stopped", "unconfigured", "closed"], // started
      ["configured", "stopped", "started", quiet, "unconfigured", "closed"], // stopped
      [no, no, no, no, no, quiet], // closed
    ]);
  });

  it("say what to do about a refusal", () => {
    expect(adviceFor("started", "configure")).toBe("stop it first");
    expect(adviceFor("unconfigured", "start")).toBe("configure it first");
    expect(adviceFor("closed", "start")).toBe("it is closed");
  });
});
