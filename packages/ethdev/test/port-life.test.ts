// An operation that waits for a device which is away, and a port that is closed meanwhile.
import { describe, expect, it } from "vitest";
import { PortLife } from "../src/control/port-life.ts";

describe("the life of a port", () => {
  it("lets one operation run at a time; closing has it called off, waits for its end, and goes on", async () => {
    const life = new PortLife("port 0 (x)");
    const order: string[] = [];
    await life.transit("configure", async () => {});
    let giveUp = (_why: Error): void => {};
    const start = life.transit("start", () => new Promise((_, reject) => (giveUp = reject)));
    await expect(life.transit("stop", async () => {})).resolves.toBeUndefined(); // nothing to stop yet
    await expect(life.transit("reset", async () => {})).rejects.toMatchObject({ code: "BUSY" });
    const failed = expect(start.finally(() => order.push("start ended"))).rejects.toThrow("called off");
    await life.callOff(() => giveUp(new Error("called off")));
    await failed;
    await life.transit("close", async () => void order.push("closed"));
    expect(order).toEqual(["start ended", "closed"]);
    expect(life.state).toBe("closed");
    await life.callOff(() => order.push("never"));
    expect(order).toHaveLength(2);
  });
});
