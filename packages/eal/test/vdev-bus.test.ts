// The vdev bus: order of probe and remove, roll-back, duplicates, cycles, attach and detach at run time.
import { beforeEach, describe, expect, it } from "vitest";
import { type Eal, EalError, Logs, VdevBus, type VdevDevice, type VdevDriver } from "../src/index.ts";

let events: string[];
let lines: string[];

/** A driver whose devices come after those named in `after=`, and fail when told to. */
function driver(name: string, extra: Partial<VdevDriver> = {}): VdevDriver {
  return {
    name,
    params: { after: { type: "string" }, fail: { type: "choice", choices: ["probe", "remove"] } },
    after: (dev, all) => all.filter((other) => other.name === dev.params.after),
    async probe(dev: VdevDevice) {
      await Promise.resolve();
      if (dev.params.fail === "probe") throw new Error("no such thing");
      events.push(`+${dev.name}`);
    },
    async remove(dev: VdevDevice) {
      events.push(`-${dev.name}`);
      if (dev.params.fail === "remove") throw new Error("stuck");
    },
    ...extra,
  };
}

function makeBus(): VdevBus {
  const logs = new Logs([], (line) => lines.push(line));
  const bus = new VdevBus(() => ({}) as Eal, logs.type("lib.eal"));
  bus.register(driver("net_a"));
  bus.register(driver("emu_b", { alias: ["emu_bee"] }));
  return bus;
}

beforeEach(() => {
  events = [];
  lines = [];
});

describe("vdev bus", () => {
  it("probes what others depend on first, else in the given order, and removes the other way round", async () => {
    const bus = makeBus();
    await bus.attachAll(["net_a0,after=emu_b0", "net_a1", "emu_b0"]);
    expect(events).toEqual(["+emu_b0", "+net_a0", "+net_a1"]);
    expect(bus.devices().map((dev) => dev.name)).toEqual(["emu_b0", "net_a0", "net_a1"]);
    events = [];
    await bus.removeAll();
    expect(events).toEqual(["-net_a1", "-net_a0", "-emu_b0"]);
    expect(bus.devices()).toEqual([]);
  });

  it("rolls back what the same call probed when one fails, and names it", async () => {
    const bus = makeBus();
    await bus.attach("net_a9");
    events = [];
    const failed = bus.attachAll(["net_a0", "net_a1", "net_a2,fail=probe", "net_a3"]);
    await expect(failed).rejects.toThrow("net_a2: probe failed: no such thing");
    expect(events).toEqual(["+net_a0", "+net_a1", "-net_a1", "-net_a0"]);
    expect(bus.devices().map((dev) => dev.name)).toEqual(["net_a9"]);
  });

  it("refuses cycles, duplicates, unknown drivers and wrong keys before it probes anything", async () => {
    const bus = makeBus();
    await expect(bus.attachAll(["net_a0,after=net_a1", "net_a1,after=net_a0"])).rejects.toThrow(
      "in a circle: net_a0 after net_a1 after net_a0",
    );
    await expect(bus.attachAll(["net_a0", "net_a0"])).rejects.toThrow("net_a0: there is a device of this name");
    await expect(bus.attachAll(["net_a0", "net_zzz0"])).rejects.toThrow("no driver 'net_zzz'; there are net_a, emu_b");
    await expect(bus.attachAll(["net_a0", "net_a1,colour=red"])).rejects.toThrow("unknown key 'colour'");
    expect(events).toEqual([]);
    expect(() => bus.register(driver("emu_bee"))).toThrow(EalError);
  });

  it("attaches and detaches at run time, one after another; a device in use stays", async () => {
    const bus = makeBus();
    await Promise.all([bus.attach("emu_bee0"), bus.attach("net_a0,after=emu_bee0")]);
    await expect(bus.attach("net_a0")).rejects.toThrow("of this name already");
    await expect(bus.detach("emu_bee0")).rejects.toThrow("in use by net_a0");
    await expect(bus.detach("nothing")).rejects.toThrow("there is no device 'nothing'");
    await bus.detach("net_a0");
    await bus.detach("emu_bee0");
    expect(events).toEqual(["+emu_bee0", "+net_a0", "-net_a0", "-emu_bee0"]);
  });

  it("reports a failing removal and goes on with the others", async () => {
    const bus = makeBus();
    await bus.attachAll(["net_a0", "net_a1,fail=remove"]);
    await bus.removeAll();
    expect(events.slice(2)).toEqual(["-net_a1", "-net_a0"]);
    expect(lines.join("")).toContain("EAL: net_a1: removal failed: stuck");
    expect(bus.devices()).toEqual([]);
  });
});
