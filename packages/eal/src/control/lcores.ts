// The lcores of a process: the main one, which is the main thread and never polls, and the workers, threads of one Piscina
// pool that run one function at a time until a word in the arena tells it to stop. An lcore whose thread dies leaves packet
// memory in an unknown state, so the process ends with a sentence unless somebody handles it. Made by init.ts.
import { getAffinity, setAffinity } from "@emudev/linux";
import { type Arena, LCORE_MAX, type Qsbr } from "@emudev/shm";
import { Piscina } from "piscina";
import { stopLcore, wakeLcore } from "../data/wake.ts";
import { EalError, reason } from "../errors.ts";
import {
  LCORE_BYTES,
  LCORE_FINISHED,
  LCORE_RUNNING,
  LCORE_SCRATCH,
  LCORE_SCRATCH_BYTES,
  LCORE_STATE,
  LCORE_STOP,
} from "../layout/lcore.ts";
import { LcoreEvents } from "./lcore-events.ts";
import type { LcoreSpec } from "./lcore-list.ts";
import type { LcoreOutcome, LcoreTask, LcoreThreadData } from "./lcore-thread.ts";
import type { Logger } from "./log.ts";

export type LcoreState = "wait" | "running" | "finished";
const STATES: readonly LcoreState[] = ["wait", "running", "finished"];

export interface Lcore {
  readonly id: number;
  /** Place in per-lcore tables; 0 is the main lcore. */
  readonly index: number;
  readonly cpus: readonly number[];
  /** Arena offset of its words (layout/lcore.ts). */
  readonly off: number;
  readonly state: LcoreState;
}

export interface LaunchTask {
  /** File URL of a data module. */
  module: string;
  /** Its exported function `(env: LcoreEnv, arg) => unknown`, by default `main`. */
  fn?: string;
  /** Anything that can be cloned. */
  arg: unknown;
}

/** Called when an lcore's thread died; true = handled, the process goes on. */
export type DeathHandler = (lcore: Lcore, error: Error) => boolean | undefined;

export class Lcores {
  readonly main: Lcore;
  readonly workers: readonly Lcore[];
  /** Main lcore first, then the workers by id. */
  readonly all: readonly Lcore[];
  readonly #arena: Arena;
  readonly #log: Logger;
  readonly #pool: Piscina | undefined;
  readonly #tasks = new Map<Lcore, Promise<unknown>>();
  readonly #onDeath: DeathHandler[] = [];
  readonly #affinity = getAffinity();
  readonly #events: readonly LcoreEvents[];
  /** Threads that have loaded everything. */
  readonly #ready = new Int32Array(new SharedArrayBuffer(4));
  #closing = false;

  constructor(arena: Arena, qsbr: Qsbr, specs: readonly LcoreSpec[], mainId: number, log: Logger) {
    if (specs.length > LCORE_MAX)
      throw new EalError("ARG", `${specs.length} lcores asked for; at most ${LCORE_MAX} are possible, see -l`);
    this.#arena = arena;
    this.#log = log;
    const others = specs.filter((spec) => spec.id !== mainId).sort((a, b) => a.id - b.id);
    const main = specs.find((spec) => spec.id === mainId)!;
    this.all = [main, ...others].map((spec, index) => makeLcore(arena, spec, index));
    this.main = this.all[0]!;
    this.workers = this.all.slice(1);
    this.#events = this.workers.map(({ off }) => new LcoreEvents(arena, off));
    if (this.workers.length > 0) {
      const workerData: LcoreThreadData = { arena: arena.handle, qsbr: qsbr.off, ready: this.#ready };
      this.#pool = new Piscina({
        filename: new URL("./lcore-thread.js", import.meta.url).href,
        minThreads: this.workers.length,
        maxThreads: this.workers.length,
        concurrentTasksPerWorker: 1,
        idleTimeout: Number.POSITIVE_INFINITY,
        atomics: "disabled",
        recordTiming: false,
        workerData,
      });
      this.#pool.on("error", (error: Error) => this.#log.critical(`an idle lcore's thread failed: ${error.message}`));
    }
    setAffinity([...this.main.cpus]);
  }

  /**
   * The lcore of an id.
   * @throws EalError LCORE when there is none
   */
  get(lcoreId: number): Lcore {
    const lcore = this.all.find(({ id }) => id === lcoreId);
    if (lcore === undefined) {
      const ids = this.all.map(({ id }) => id).join(", ");
      throw new EalError("LCORE", `there is no lcore ${lcoreId}; there are ${ids}`);
    }
    return lcore;
  }

  /**
   * Runs a function on a worker lcore.
   * @returns what it returned; rejects with EalError LCORE when the lcore is the main one, busy, or when the function threw
   */
  launch(lcoreId: number, task: LaunchTask): Promise<unknown> {
    let lcore: Lcore;
    try {
      lcore = this.get(lcoreId);
      if (lcore === this.main) throw new EalError("LCORE", `lcore ${lcoreId} is the main lcore, which never polls`);
      if (lcore.state === "running") throw new EalError("LCORE", `lcore ${lcoreId} is busy; stop it first`);
      if (this.#closing) throw new EalError("LCORE", `lcore ${lcoreId}: the EAL is being cleaned up`);
    } catch (error) {
      return Promise.reject(error);
    }
    this.#store(lcore, LCORE_STOP, 0);
    this.#store(lcore, LCORE_STATE, LCORE_RUNNING);
    const result = this.#run(lcore, task);
    this.#tasks.set(lcore, result);
    result.catch(() => {});
    return result;
  }

  /** Tells an lcore to leave its polling loop; `wait` for the end. */
  stop(lcoreId: number): void {
    stopLcore(this.#arena, this.get(lcoreId).off);
  }

  /** Tells every worker to stop. */
  stopAll(): void {
    for (const lcore of this.workers) stopLcore(this.#arena, lcore.off);
  }

  /** Lets each signal of an eventfd end the naps of lcores, until unwatch(). Nobody needs to read it. */
  watch(fd: number): void {
    for (const events of this.#events) events.add(fd);
  }

  /** Before the fd is closed. */
  unwatch(fd: number): void {
    for (const events of this.#events) events.remove(fd);
  }

  /** Ends an lcore's nap. */
  wake(lcoreId: number): void {
    wakeLcore(this.#arena, this.get(lcoreId).off);
  }

  /** The outcome of the lcore's last launch, undefined if there was none. */
  wait(lcoreId: number): Promise<unknown> {
    return this.#tasks.get(this.get(lcoreId)) ?? Promise.resolve(undefined);
  }

  /** Adds a handler that is called before the process ends because a thread died. */
  onDeath(handler: DeathHandler): void {
    this.#onDeath.push(handler);
  }

  /** Stops every lcore and ends the threads; the main thread gets its affinity back. */
  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    this.stopAll();
    const all = Promise.allSettled([...this.#tasks.values()]);
    const late = setTimeout(() => {
      const names = this.workers.filter((lcore) => lcore.state === "running").map((lcore) => lcore.id);
      this.#log.warning(`waiting for lcore ${names.join(", ")} to stop`);
    }, 1000);
    const ended = await Promise.race([all.then(() => true), delay(5000)]);
    clearTimeout(late);
    if (!ended) this.#log.error("an lcore does not stop: its thread is ended by force");
    for (let ms = 0; ms < 5000 && Atomics.load(this.#ready, 0) < this.workers.length; ms++) await pause();
    await this.#pool?.destroy();
    for (const events of this.#events) events.close();
    setAffinity(this.#affinity);
    for (const lcore of this.all) this.#arena.memzoneFree(zoneName(lcore.id));
  }

  async #run(lcore: Lcore, { module, fn = "main", arg }: LaunchTask): Promise<unknown> {
    const { id, index, off, cpus } = lcore;
    const task: LcoreTask = { id, index, off, cpus: [...cpus], module, fn, arg };
    let outcome: LcoreOutcome;
    try {
      outcome = await (this.#pool!.run(task) as Promise<LcoreOutcome>);
    } catch (error) {
      // The pool's own refusals (an argument that cannot be cloned) and a thread's death come the same way.
      if (error instanceof Error && error.name === "DataCloneError") throw this.#failed(lcore, reason(error), error);
      throw this.#died(lcore, error);
    } finally {
      this.#store(lcore, LCORE_STATE, LCORE_FINISHED);
    }
    if ("value" in outcome) return outcome.value;
    const { name, message, stack } = outcome.error;
    this.#log.debug(stack);
    throw this.#failed(lcore, `${name}: ${message}`, Object.assign(new Error(message), { name, stack }));
  }

  #failed(lcore: Lcore, why: string, cause: unknown): EalError {
    return new EalError("LCORE", `lcore ${lcore.id}: ${why}`, { cause });
  }

  #died(lcore: Lcore, error: unknown): EalError {
    const failure = this.#failed(lcore, `its thread died: ${reason(error)}`, error);
    if (this.#closing) return failure;
    let handled = false;
    for (const handler of this.#onDeath) handled = handler(lcore, failure) === true || handled;
    if (!handled) {
      this.#log.emergency(`${failure.message}; packet memory may be damaged, so the process ends`);
      process.exit(1);
    }
    return failure;
  }

  #store(lcore: Lcore, word: number, value: number): void {
    Atomics.store(this.#arena.i32, (lcore.off + word) >>> 2, value);
  }
}

const zoneName = (id: number): string => `lcore_${id}`;

function makeLcore(arena: Arena, { id, cpus }: LcoreSpec, index: number): Lcore {
  const { off } = arena.memzoneReserve(zoneName(id), LCORE_BYTES + LCORE_SCRATCH_BYTES);
  arena.u32[(off + LCORE_SCRATCH) >>> 2] = off + LCORE_BYTES;
  return {
    id,
    index,
    cpus,
    off,
    get state() {
      return STATES[Atomics.load(arena.i32, (off + LCORE_STATE) >>> 2)]!;
    },
  };
}

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));

function delay(ms: number): Promise<false> {
  return new Promise((resolve) => setTimeout(() => resolve(false), ms).unref());
}
