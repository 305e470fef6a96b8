// DPDK's side of the rings bench: c/rte-ring.c as a process of its own, on the same two CPUs as ours. A line asks for a run,
// a line of JSON answers; between runs it sleeps, so that ours has the CPUs to itself.
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** On one core or from one to another; of pointers, as rte_ring carries them, or of 4-byte elements, as ours. */
export type Way = "one" | "two";
export type Kind = "ptr" | "u32";

export class RteRing {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;

  private constructor(child: ChildProcessWithoutNullStreams) {
    this.#child = child;
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  /** Starts it and waits until it is ready. */
  static async start(program: string, cpus: readonly number[]): Promise<RteRing> {
    const lcores = `0@${cpus[0]},1@${cpus[1]}`;
    // Without huge pages, as ours: the ring fits three pages.
    const args = ["--lcores", lcores, "--no-pci", "--no-huge", "--no-shconf", "--no-telemetry", "-m", "64"];
    const ring = new RteRing(spawn(program, args));
    while ((await ring.#line()) !== "ready");
    return ring;
  }

  /** Nanoseconds an object. */
  async run(way: Way, kind: Kind, objects: number): Promise<number> {
    this.#child.stdin.write(`${way} ${kind} ${objects}\n`);
    const { ns, done } = JSON.parse(await this.#line()) as { ns: number; done: boolean };
    if (!done) throw new Error(`rte_ring ${way} ${kind}: not every object arrived; the figure would mean nothing`);
    return ns;
  }

  async end(): Promise<void> {
    const closed = new Promise((resolve) => this.#child.on("close", resolve));
    this.#child.stdin.end();
    await closed;
  }

  async #line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error("rte-ring has ended");
    return value;
  }
}
