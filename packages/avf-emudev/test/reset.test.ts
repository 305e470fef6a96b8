// How resets are carried out: nothing is put back before the backend has let go, RESET_VF takes its time, and a reset that
// overtakes another takes over.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ResetControl } from "../src/control/reset.ts";

let log: string[];
let letGo: (() => void)[];
let resets: ResetControl;

beforeEach(() => {
  vi.useFakeTimers();
  log = [];
  letGo = [];
  resets = new ResetControl({
    begin: (hard) => log.push(hard ? "begin hard" : "begin"),
    quiesce: () => new Promise((resolve) => letGo.push(resolve)),
    finish: (hard) => log.push(hard ? "finish hard" : "finish"),
    end: () => log.push("end"),
  });
});
afterEach(() => {
  vi.useRealTimers();
});

const settle = () => vi.advanceTimersByTimeAsync(0);

test("RESET_VF lasts 10 ms at least, and as long as the backend needs", async () => {
  resets.vfReset();
  expect([resets.rstat, ...log]).toEqual([0, "begin"]);
  letGo[0]!();
  await vi.advanceTimersByTimeAsync(10);
  expect([resets.rstat, ...log]).toEqual([0, "begin"]);
  await vi.advanceTimersByTimeAsync(10);
  expect([resets.rstat, ...log]).toEqual([2, "begin", "finish", "end"]);

  resets.vfReset();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(resets.rstat).toBe(0);
  letGo[1]!();
  await settle();
  expect(resets.rstat).toBe(2);
});

test("a device reset shows itself as active at once and resolves at its end", async () => {
  let resolved = false;
  const reset = resets.deviceReset().then(() => {
    resolved = true;
  });
  await settle();
  expect([resets.rstat, resets.state, resolved]).toEqual([2, "quiescing", false]);
  letGo[0]!();
  await reset;
  expect([resets.state, ...log]).toEqual(["active", "begin hard", "finish hard", "end"]);
});

test("the client leaves in the middle of RESET_VF: the device reset takes over", async () => {
  resets.vfReset();
  const reset = resets.deviceReset();
  expect(resets.rstat).toBe(2);
  letGo[0]!();
  await vi.advanceTimersByTimeAsync(100);
  expect(resets.state).toBe("quiescing");
  letGo[1]!();
  await reset;
  await vi.advanceTimersByTimeAsync(100);
  expect(log).toEqual(["begin", "begin hard", "finish hard", "end"]);
});

test("an old reset does not end a newer one", async () => {
  resets.vfReset();
  const reset = resets.deviceReset();
  letGo[1]!();
  await reset;
  resets.vfReset();
  letGo[0]!();
  await vi.advanceTimersByTimeAsync(100);
  expect(resets.rstat).toBe(0);
  letGo[2]!();
  await settle();
  expect(resets.rstat).toBe(2);
});

test("RESET_VF during a reset means nothing; two device resets at once both resolve", async () => {
  resets.vfReset();
  resets.vfReset();
  expect(log).toEqual(["begin"]);
  const both = Promise.all([resets.deviceReset(), resets.deviceReset()]);
  for (const done of letGo) done();
  await both;
  expect(resets.state).toBe("active");
  expect(log.filter((entry) => entry === "end")).toHaveLength(1);
});
