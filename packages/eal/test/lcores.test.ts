// The environment with real threads: launch and stop, affinity, naps and wake-ups, quiescence, failures, cleanup.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { closeFd, eventfd, eventfdRead, eventfdWrite, fdCount, getAffinity } from "@emudev/linux";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  cyclesOf,
  type Eal,
  EalError,
  eal,
  ealInit,
  LCORE_BUSY_LOOPS,
  LCORE_LOOPS,
  LCORE_NAPPING,
  lcoreUsage,
  recordCoreCycles,
  setPollMode,
} from "../src/index.ts";

const module = new URL("./lcore-tasks.mjs", import.meta.url).href;
const [cpu] = getAffinity();
const lines: string[] = [];

/** Resolves when the condition holds; the test's own time limit is the only one. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
}

let env: Eal;
let word: number;
const load = (index: number) => Atomics.load(env.arena.i32, (word >>> 2) + index);
const napping = (id: number) => Atomics.load(env.arena.i32, (env.lcores.get(id).off + LCORE_NAPPING) >>> 2) !== 0;

beforeEach(async () => {
  lines.length = 0;
  const argv = ["--in-memory", "-m", "64", "--lcores", `5@${cpu},1@${cpu},2@${cpu}`, "--main-lcore", "2"];
  env = await ealInit(argv, { drivers: [], logWrite: (line) => lines.push(line) });
  word = env.arena.memzoneReserve("test", 64).off;
});
afterEach(() => env.cleanup());

describe("lcores", () => {
  it("numbers the main lcore first and the workers by id, each with memory of its own", async () => {
    expect(env.lcores.all.map(({ id, index, state }) => [id, index, state])).toEqual([
      [2, 0, "wait"],
      [1, 1, "wait"],
      [5, 2, "wait"],
    ]);
    const [one, five] = await Promise.all([
      env.lcores.launch(1, { module, fn: "scribble", arg: 1 }),
      env.lcores.launch(5, { module, fn: "scribble", arg: 5 }),
    ]);
    const { u32 } = env.arena;
    expect([u32[(one as number) >>> 2], u32[((one as number) >>> 2) + 16383]]).toEqual([1, 1]);
    expect([u32[(five as number) >>> 2], u32[((five as number) >>> 2) + 16383]]).toEqual([5, 5]);
  });

  it("runs a polling loop on a thread pinned to the lcore's CPU until it is told to stop, again and again", async () => {
    for (const id of [1, 5]) {
      for (let round = 0; round < 3; round++) {
        const done = env.lcores.launch(id, { module, arg: { word } });
        const before = load(1);
        await until(() => load(1) > before);
        expect(env.lcores.get(id).state).toBe("running");
        env.lcores.stop(id);
        expect(await done).toMatchObject({ id, affinity: [cpu] });
        expect(await env.lcores.wait(id)).toMatchObject({ id });
        expect(env.lcores.get(id).state).toBe("finished");
      }
    }
    expect(getAffinity()).toEqual([cpu]);
  });

  it("counts turns and the busy ones", async () => {
    Atomics.store(env.arena.i32, word >>> 2, 3000);
    const done = env.lcores.launch(1, { module, arg: { word } });
    await until(() => load(0) === 0);
    env.lcores.stop(1);
    await done;
    const { off } = env.lcores.get(1);
    expect(env.arena.counter(off + LCORE_BUSY_LOOPS)).toBe(3000);
    expect(env.arena.counter(off + LCORE_LOOPS)).toBe(load(1));
  });

  it("naps when idle, is offline then, and a wake-up makes it poll at once", async () => {
    const done = env.lcores.launch(1, { module, arg: { word } });
    await until(() => napping(1));
    await env.synchronize();
    for (let i = 0; i < 200; i++) {
      const before = load(1);
      env.lcores.wake(1);
      await until(() => load(1) > before);
    }
    env.lcores.stopAll();
    await done;
  });

  it("does not nap past a deadline", async () => {
    // With a deadline always 2 us away there is never room for a nap.
    const done = env.lcores.launch(1, { module, arg: { word, deadlineUs: 2 } });
    await until(() => load(1) > 50_000);
    env.lcores.stop(1);
    await done;
    const { off } = env.lcores.get(1);
    expect(env.arena.counter(off + 80)).toBe(0);
  });

  it("naps in adaptive and interrupt mode, never in busy mode, and changes while it runs", async () => {
    const { lcores, arena } = env;
    const lcore = lcores.get(1);
    const done = lcores.launch(1, { module, arg: { word, announced: true } });
    setPollMode(arena, lcores.workers, "busy");
    await until(() => !napping(1));
    const { naps, loops } = lcoreUsage(arena, lcore);
    await until(() => lcoreUsage(arena, lcore).loops > loops + 50_000);
    expect(lcoreUsage(arena, lcore).naps).toBeLessThanOrEqual(naps + 1); // one that was about to end
    setPollMode(arena, lcores.workers, "interrupt");
    await until(() => napping(1));
    const before = load(1);
    lcores.wake(1);
    await until(() => load(1) > before);
    await until(() => lcoreUsage(arena, lcore).napUs / lcoreUsage(arena, lcore).naps > 1500); // longer than adaptive ones
    // Each of a queue's events wakes it, with nothing done or read here.
    const fd = eventfd();
    lcores.watch(fd);
    const { napUs } = lcoreUsage(arena, lcore);
    for (let round = 0; round < 20; round++) {
      await until(() => napping(1));
      const turns = load(1);
      eventfdWrite(fd);
      await until(() => load(1) > turns);
    }
    expect(lcoreUsage(arena, lcore).napUs - napUs).toBeLessThan(20 * 250_000);
    expect(eventfdRead(fd)).toBe(20);
    lcores.unwatch(fd);
    closeFd(fd);
    const quiet = lcoreUsage(arena, lcore).naps;
    await until(() => lcoreUsage(arena, lcore).naps > quiet + 1);
    setPollMode(arena, lcores.workers, "adaptive");
    lcores.stop(1);
    await done;
  });

  it("times its turns when asked, and tells of busy and all cycles by telemetry", async () => {
    const { lcores, arena, telemetry } = env;
    expect(telemetry.call("/eal/lcore/usage")).toEqual({
      "/eal/lcore/usage": { lcore_ids: [], total_cycles: [], busy_cycles: [] },
    });
    recordCoreCycles(arena, lcores.workers, true);
    Atomics.store(arena.i32, word >>> 2, 100_000);
    const done = lcores.launch(1, { module, arg: { word } });
    await until(() => load(0) === 0);
    await until(() => napping(1));
    recordCoreCycles(arena, lcores.workers, false);
    lcores.stop(1);
    await done;
    const { timedNs, busyNs } = lcoreUsage(arena, lcores.get(1));
    expect(busyNs).toBeGreaterThan(0);
    expect(timedNs).toBeGreaterThan(busyNs);
    expect(telemetry.call("/eal/lcore/usage")).toEqual({
      "/eal/lcore/usage": { lcore_ids: [1], total_cycles: [cyclesOf(timedNs)], busy_cycles: [cyclesOf(busyNs)] },
    });
  });

  it("shows one clock in every thread", async () => {
    const now = () => Number(process.hrtime.bigint()) / 1000;
    const before = now();
    const there = (await env.lcores.launch(1, { module, fn: "clock", arg: 0 })) as number;
    expect(there).toBeGreaterThanOrEqual(before - 1);
    expect(there).toBeLessThanOrEqual(now() + 1);
  });

  it("names an lcore that keeps a synchronize waiting for a second, and goes on waiting", async () => {
    const done = env.lcores.launch(5, { module, fn: "stuck", arg: { word, ms: 1300 } });
    await until(() => load(0) === 1);
    await env.synchronize();
    expect(lines.join("")).toContain("EAL: lcore 5 has not passed a quiescent state for 1 s; still waiting");
    env.lcores.stop(5);
    expect(await done).toBeGreaterThan(0);
  });

  it("keeps nothing of the kernel's for signals when a task has ended", async () => {
    const contexts = (): number => readFileSync("/proc/self/maps", "utf8").split("[aio]").length - 1;
    const [before, fd] = [contexts(), eventfd()];
    for (const id of [1, 5, 1]) expect(await env.lcores.launch(id, { module, fn: "signal", arg: fd })).toBe(0);
    expect([contexts(), eventfdRead(fd)]).toEqual([before, 3]);
    closeFd(fd);
  });

  it("refuses what cannot be launched", async () => {
    const { lcores } = env;
    await expect(lcores.launch(2, { module, arg: 0 })).rejects.toThrow("is the main lcore, which never polls");
    await expect(lcores.launch(9, { module, arg: 0 })).rejects.toThrow("there is no lcore 9; there are 2, 1, 5");
    const done = lcores.launch(1, { module, arg: { word } });
    await expect(lcores.launch(1, { module, arg: { word } })).rejects.toThrow("lcore 1 is busy");
    lcores.stop(1);
    await done;
    await expect(lcores.launch(1, { module, fn: "nothing", arg: 0 })).rejects.toThrow("no function 'nothing'");
    await expect(lcores.launch(1, { module: `${module}x`, arg: 0 })).rejects.toThrow(EalError);
    await expect(lcores.launch(1, { module, fn: "double", arg: () => {} })).rejects.toThrow(EalError);
    await expect(lcores.launch(1, { module, fn: "fail", arg: 0 })).rejects.toThrow("lcore 1: RangeError: too far");
    expect(await lcores.launch(1, { module, fn: "double", arg: 21 })).toBe(42);
  });

  it("tells of a thread that died", async () => {
    const dead: number[] = [];
    env.lcores.onDeath((lcore) => {
      dead.push(lcore.id);
      return true;
    });
    await expect(env.lcores.launch(5, { module, fn: "die", arg: 0 })).rejects.toThrow("its thread died");
    expect(dead).toEqual([5]);
  });

  it("is one environment a process, until cleanup, which is idempotent and leaves no fd", async () => {
    expect(eal()).toBe(env);
    await expect(ealInit([], { drivers: [] })).rejects.toThrow("initialised already");
    const done = env.lcores.launch(1, { module, arg: { word } });
    await Promise.all([env.cleanup(), env.cleanup()]);
    await done;
    expect(() => eal()).toThrow(EalError);
    const fds = fdCount();
    for (let round = 0; round < 2; round++) {
      env = await ealInit(["--in-memory", "-l", `${cpu}`], { drivers: [] });
      await env.cleanup();
    }
    expect(fdCount()).toBe(fds);
  });
});

describe("a process of its own", () => {
  const run = (argv: string[], code: string, ...task: string[]) =>
    spawnSync(process.execPath, ["--input-type=module", "-e", code, "--", ...argv, "--", ...task], {
      cwd: import.meta.dirname,
      encoding: "utf8",
    });
  const program = `
    import { ealInit } from "@emudev/eal";
    const env = await ealInit(process.argv.slice(1), { drivers: [] });`;

  it("ends with a sentence when an lcore dies", () => {
    const lcores = ["--in-memory", "--lcores", `0@${cpu},1@${cpu}`];
    const { status, stderr } = run(
      lcores,
      `${program} await env.lcores.launch(1, { module: "${module}", fn: "die", arg: 0 }).catch(() => {});`,
    );
    expect(stderr).toContain("EAL: lcore 1: its thread died: worker exited with code: 3; packet memory may be damaged");
    expect(status).toBe(1);
  });

  it("has a runtime directory and telemetry while it runs, and leaves neither, even without cleanup", () => {
    const prefix = `eal-test-${process.pid}`;
    const { stdout, status } = run(
      ["--file-prefix", prefix, "-l", `${cpu}`],
      `import { readdirSync } from "node:fs"; ${program}
       console.log(env.runtimeDir, readdirSync(env.runtimeDir).join(), JSON.stringify(env.telemetry.call("/eal/params")));
       console.log(JSON.stringify(env.appArgs)); process.exit(0);`,
      "-i",
    );
    const [first = "", second] = stdout.trim().split("\n");
    const [path = "", files, params] = first.split(" ");
    expect(files).toBe("dpdk_telemetry.v2,lock");
    expect(params).toBe(`{"/eal/params":["--file-prefix","${prefix}","-l","${cpu}"]}`);
    expect(second).toBe('["-i"]');
    expect(status).toBe(0);
    expect(existsSync(`${path}/lock`)).toBe(false);
  });
});
