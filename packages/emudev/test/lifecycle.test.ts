// The device table and the life cycle: the whole product of states and events, and what the calls do around it.
import { afterEach, describe, expect, test } from "vitest";
import { EVENTS_OF_LIFE, next, STATES } from "../src/control/states.ts";
import {
  type EmuDev,
  emuDevAllocate,
  emuDevAllocated,
  emuDevClose,
  emuDevConfigure,
  emuDevRelease,
  emuDevStart,
  emuDevStop,
  emuSubscribeEvent,
  emuUnsubscribeEvent,
  eventChannelCreate,
  eventChannelFree,
} from "../src/index.ts";
import { arena, fakeOps } from "./support.ts";

const made: EmuDev[] = [];
const make = (...args: Parameters<typeof emuDevAllocate>): EmuDev => {
  const dev = emuDevAllocate(...args);
  made.push(dev);
  return dev;
};
afterEach(async () => {
  for (const dev of made.splice(0)) {
    if (dev.state === "released") continue;
    await emuDevClose(dev.id);
    emuDevRelease(dev);
  }
});

const LEGAL: Record<string, string> = {
  "unconfigured configure": "configured",
  "unconfigured close": "closed",
  "unconfigured release": "released",
  "configured configure": "configured",
  "configured start": "started",
  "configured close": "closed",
  "started start": "started",
  "started stop": "stopped",
  "started close": "closed",
  "stopped configure": "configured",
  "stopped start": "started",
  "stopped stop": "stopped",
  "stopped close": "closed",
  "closed close": "closed",
  "closed release": "released",
};

test("every pair of state and event is as the table of the documentation says", () => {
  for (const state of STATES)
    for (const event of EVENTS_OF_LIFE)
      expect([state, event, next(state, event)]).toEqual([state, event, LEGAL[`${state} ${event}`] ?? null]);
});

describe("the device table", () => {
  test("gives the lowest free id, finds by name, and takes a wanted id", () => {
    const a = make("a", fakeOps());
    const b = make("b", fakeOps(), { id: 5 });
    const c = make("c", fakeOps(), { privData: 7 });
    expect([a.id, b.id, c.id, c.privData]).toEqual([0, 5, 1, 7]);
    expect(emuDevAllocated("b")).toBe(b);
    expect(emuDevAllocated("x")).toBeUndefined();
    emuDevRelease(a);
    expect(emuDevAllocated("a")).toBeUndefined();
    expect(make("d", fakeOps()).id).toBe(0);
  });

  test("refuses a taken name, a taken id, an id out of range and a second release", () => {
    const a = make("a", fakeOps());
    expect(() => make("a", fakeOps())).toThrow(expect.objectContaining({ code: "EEXIST" }));
    expect(() => make("b", fakeOps(), { id: 0 })).toThrow(/taken by 'a'/);
    expect(() => make("b", fakeOps(), { id: 1024 })).toThrow(expect.objectContaining({ code: "EINVAL" }));
    emuDevRelease(a);
    expect(() => emuDevRelease(a)).toThrow(expect.objectContaining({ code: "ENODEV" }));
  });
});

describe("the life cycle", () => {
  test("runs the provider's operations in order; repeated start and stop do nothing", async () => {
    const calls: string[] = [];
    const { id } = make("dev", fakeOps(calls));
    await emuDevConfigure(id, {});
    await emuDevConfigure(id, {});
    await emuDevStart(id);
    await emuDevStart(id);
    await emuDevStop(id);
    await emuDevStop(id);
    await emuDevStart(id);
    await emuDevClose(id);
    await emuDevClose(id);
    expect(calls).toEqual(["configure", "configure", "start", "stop", "start", "stop", "close"]);
  });

  test("refuses illegal transitions and leaves the state", async () => {
    const calls: string[] = [];
    const dev = make("dev", fakeOps(calls));
    await expect(emuDevStart(dev.id)).rejects.toMatchObject({ code: "EBUSY", errno: 16 });
    await emuDevConfigure(dev.id, {});
    await expect(emuDevStop(dev.id)).rejects.toThrow(/cannot stop while configured; legal: configure, start, close/);
    await emuDevStart(dev.id);
    await expect(emuDevConfigure(dev.id, {})).rejects.toMatchObject({ code: "EBUSY" });
    expect(() => emuDevRelease(dev)).toThrow(expect.objectContaining({ code: "EBUSY" }));
    expect(dev.state).toBe("started");
    await expect(emuDevStart(99)).rejects.toMatchObject({ code: "ENODEV" });
  });

  test("a failing operation leaves the state, and a call in the middle of another is refused", async () => {
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    let fail = true;
    const dev = make("dev", fakeOps([], { devStart: () => (fail ? Promise.reject(new Error("no")) : held) }));
    await emuDevConfigure(dev.id, {});
    await expect(emuDevStart(dev.id)).rejects.toThrow("no");
    expect(dev.state).toBe("configured");
    fail = false;
    const starting = emuDevStart(dev.id);
    await expect(emuDevClose(dev.id)).rejects.toThrow(/in the middle of start/);
    release();
    await starting;
    expect(dev.state).toBe("started");
  });

  test("a device that a backend subscribes to is neither closed nor released", async () => {
    const dev = make("dev", fakeOps());
    const channel = eventChannelCreate(arena, "held");
    await emuSubscribeEvent(dev.id, channel);
    await expect(emuDevClose(dev.id)).rejects.toThrow(/still subscribes/);
    expect(() => emuDevRelease(dev)).toThrow(/still subscribes/);
    await emuUnsubscribeEvent(dev.id, channel);
    eventChannelFree(channel);
    await emuDevClose(dev.id);
  });
});
