// CPU affinity of this thread and of a worker: each pins itself alone, and what cannot be is refused with its numbers.
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import { getAffinity, setAffinity } from "../src/index.ts";

describe("affinity", () => {
  it("is the calling thread's alone", async () => {
    const all = getAffinity();
    expect(all.length).toBeGreaterThan(0);
    const index = new URL("../dist/data/index.js", import.meta.url).href;
    const code = `const { parentPort } = require("node:worker_threads");
      import(${JSON.stringify(index)}).then(({ getAffinity, setAffinity }) => {
        const cpu = getAffinity().at(-1);
        setAffinity([cpu]);
        parentPort.postMessage({ cpu, now: getAffinity() });
      });`;
    const worker = new Worker(code, { eval: true });
    const [{ cpu, now }] = await once(worker, "message");
    expect(now).toEqual([cpu]);
    expect(getAffinity()).toEqual(all);
    await worker.terminate();
  });

  it("is set and given back", () => {
    const all = getAffinity();
    setAffinity([all[0]]);
    expect(getAffinity()).toEqual([all[0]]);
    setAffinity(all);
    expect(getAffinity()).toEqual(all);
  });

  it("of CPUs that do not exist is refused with their numbers", () => {
    const all = getAffinity();
    expect(() => setAffinity([4095])).toThrow("sched_setaffinity(cpus 4095): EINVAL");
    expect(() => setAffinity([])).toThrow(/EINVAL/);
    expect(() => setAffinity([1.5])).toThrow(/1.5 is not a CPU number/);
    expect(() => setAffinity([-1])).toThrow(/not a CPU number/);
    expect(getAffinity()).toEqual(all);
  });
});
