// ealInit: from a command line to a running environment, in the order arguments, logs, runtime directory, arena, lcores,
// telemetry, devices; and cleanup, the way back. One environment a process: eal() returns it to whoever needs it. Called by
// applications; drivers get the same object in their probe.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { closeFd, getAffinity } from "@emudev/linux";
import { Arena, Qsbr } from "@emudev/shm";
import { EalError } from "../errors.ts";
import { cyclesOf } from "./cpu-clock.ts";
import { boundYoungGeneration } from "./heap.ts";
import { lcoreUsage, setPollMode } from "./lcore-usage.ts";
import { Lcores } from "./lcores.ts";
import { type Logger, Logs } from "./log.ts";
import { type EalOptions, parseEalArgs } from "./options.ts";
import { acquireRuntimeDir, type RuntimeDir, runtimePath } from "./runtime-dir.ts";
import { Telemetry } from "./telemetry.ts";
import { VdevBus, type VdevDriver } from "./vdev-bus.ts";
import { WindowGuard } from "./window-guard.ts";

/** The environment of the process. */
export interface Eal {
  readonly options: EalOptions;
  /** What followed `--` on the command line. */
  readonly appArgs: readonly string[];
  readonly arena: Arena;
  /** Quiescence of the running lcores; `synchronize()` below is the usual way to use it. */
  readonly qsbr: Qsbr;
  readonly log: Logger;
  readonly logs: Logs;
  readonly lcores: Lcores;
  readonly vdev: VdevBus;
  readonly telemetry: Telemetry;
  /** The runtime directory, "" with --in-memory. */
  readonly runtimeDir: string;
  /** Resolves when no lcore can still use what was unpublished before the call; an lcore late by 1 s is named in the log. */
  synchronize(): Promise<void>;
  /** Calls when a window of the arena has lost its file (`--sigbus-guard`); returns what takes the listener away. */
  onWindowLost(listener: (window: { off: number; bytes: number }) => void): () => void;
  /** Stops lcores, removes devices, the last probed first, and gives back threads and files. Idempotent. */
  cleanup(): Promise<void>;
}

export interface EalInitOptions {
  drivers: readonly VdevDriver[];
  /** The program's name in help texts. */
  program?: string;
  env?: NodeJS.ProcessEnv;
  /** Where log lines go, by default standard error. */
  logWrite?: (line: string) => void;
}

let current: Eal | undefined;
let starting = false;

/**
 * The environment that ealInit made.
 * @throws EalError STATE before init and after cleanup
 */
export function eal(): Eal {
  if (current === undefined) throw new EalError("STATE", "the EAL is not initialised; call ealInit first");
  return current;
}

/** The version of this EAL. */
export function ealVersion(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}

/**
 * Starts the environment and probes the devices of the command line.
 * @param argv the arguments without node and script; what follows `--` is left to the application
 * @throws EalError, with everything that had been started taken down again
 */
export async function ealInit(argv: readonly string[], opts: EalInitOptions): Promise<Eal> {
  if (current !== undefined || starting) throw new EalError("STATE", "the EAL is initialised already");
  starting = true;
  const undo: (() => void | Promise<void>)[] = [];
  const unwind = async (): Promise<void> => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    const { options, appArgs } = parseEalArgs(argv, getAffinity(), opts.program, ealVersion());
    const logs = new Logs(options.logRules, opts.logWrite);
    const log = logs.type("lib.eal");
    for (const { option, why } of options.ignored) log.notice(`${option} has no effect: ${why}`);
    const runtime = options.inMemory ? undefined : acquire(runtimePath(options.filePrefix, opts.env), undo);
    const arena = makeArena(options, log);
    undo.push(() => closeFd(arena.fd)); // the memory itself stays: views of it may be held anywhere
    const qsbr = Qsbr.create(arena, "eal_qsbr");
    const lcores = new Lcores(arena, qsbr, options.lcores, options.mainLcore, log);
    undo.push(() => lcores.close());
    undo.push(boundYoungGeneration());
    setPollMode(arena, lcores.workers, options.pollMode);
    const windows = new WindowGuard(arena, log);
    if (options.sigbusGuard) windows.start();
    undo.push(() => windows.stop());
    const telemetry = new Telemetry(log);
    const vdev = new VdevBus(() => made, log);
    for (const driver of opts.drivers) vdev.register(driver);
    let cleaned: Promise<void> | undefined;
    const made: Eal = {
      options,
      appArgs,
      arena,
      qsbr,
      log,
      logs,
      lcores,
      vdev,
      telemetry,
      runtimeDir: runtime?.path ?? "",
      onWindowLost: (listener) => windows.onLost(listener),
      synchronize: () => qsbr.synchronize((threads) => log.warning(lateLcores(lcores, threads))),
      cleanup: () => {
        cleaned ??= unwind().finally(() => {
          current = undefined;
        });
        return cleaned;
      },
    };
    registerTelemetry(made, argv);
    if (runtime !== undefined && options.telemetry) listen(made, runtime, undo);
    current = made;
    undo.push(() => vdev.removeAll());
    // Devices go before threads end, and after forwarding stops.
    undo.push(() => stopForwarding(lcores));
    await vdev.attachAll(options.vdevs);
    return made;
  } catch (error) {
    await unwind();
    current = undefined;
    throw error;
  } finally {
    starting = false;
  }
}

function makeArena({ ownBytes, hugePages }: EalOptions, log: Logger): Arena {
  const kind = hugePages ? "auto" : "off";
  const arena = Arena.create(ownBytes === undefined ? { hugePages: kind } : { ownBytes, hugePages: kind });
  const pages = arena.pageBytes < 2 ** 20 ? `${arena.pageBytes >> 10} KiB` : `${arena.pageBytes >> 20} MiB`;
  log.debug(`${arena.ownBytes >> 20} MiB of memory in pages of ${pages}`);
  return arena;
}

function acquire(path: string, undo: (() => void | Promise<void>)[]): RuntimeDir {
  const runtime = acquireRuntimeDir(path);
  const release = (): void => runtime.release();
  process.once("exit", release);
  undo.push(() => {
    process.removeListener("exit", release);
    release();
  });
  return runtime;
}

function listen(made: Eal, runtime: RuntimeDir, undo: (() => void | Promise<void>)[]): void {
  const path = join(runtime.path, "dpdk_telemetry.v2");
  try {
    made.telemetry.listen(path, { version: `emudev ${ealVersion()}`, pid: process.pid });
    undo.push(() => made.telemetry.close());
  } catch (error) {
    made.log.warning(`no telemetry: ${(error as Error).message}`);
  }
}

async function stopForwarding(lcores: Lcores): Promise<void> {
  lcores.stopAll();
  const ends = Promise.allSettled(lcores.workers.map(({ id }) => lcores.wait(id)));
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([ends, new Promise((resolve) => (timer = setTimeout(resolve, 3000)))]);
  clearTimeout(timer);
}

function lateLcores(lcores: Lcores, threads: readonly number[]): string {
  const ids = threads.map((index) => lcores.all[index]?.id ?? `#${index}`);
  return `lcore ${ids.join(", ")} has not passed a quiescent state for 1 s; still waiting`;
}

function registerTelemetry(made: Eal, argv: readonly string[]): void {
  const { telemetry, lcores, options, vdev } = made;
  const end = argv.indexOf("--");
  telemetry.register("/eal/params", "Returns EAL commandline parameters. Takes no parameters", () =>
    end < 0 ? argv : argv.slice(0, end),
  );
  telemetry.register("/eal/app_params", "Returns app commandline parameters. Takes no parameters", () => made.appArgs);
  telemetry.register("/eal/lcore/list", "List of lcore IDs. Takes no parameters", () => lcores.all.map(({ id }) => id));
  telemetry.register("/eal/lcore/info", "Returns lcore info. Parameters: int lcore_id", (params) => {
    const lcore = lcores.all.find(({ id }) => `${id}` === params);
    if (lcore === undefined) return null;
    const role = lcore.id === options.mainLcore ? "RTE" : "RTE_WORKER";
    return { lcore_id: lcore.id, role, state: lcore.state, cpuset: lcore.cpus };
  });
  telemetry.register(
    "/eal/lcore/usage",
    "Returns lcore cycles usage, of lcores whose turns are timed. Takes no parameters",
    () => {
      const timed = lcores.workers.map((lcore) => ({ lcore, usage: lcoreUsage(made.arena, lcore) }));
      const shown = timed.filter(({ usage }) => usage.timedNs > 0);
      return {
        lcore_ids: shown.map(({ lcore }) => lcore.id),
        total_cycles: shown.map(({ usage }) => cyclesOf(usage.timedNs)),
        busy_cycles: shown.map(({ usage }) => cyclesOf(usage.busyNs)),
      };
    },
  );
  telemetry.register("/eal/vdev_list", "List of virtual devices. Takes no parameters", () =>
    vdev.devices().map(({ name }) => name),
  );
}
