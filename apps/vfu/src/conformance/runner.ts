// Runs the checks, each on connections of its own and within a time of its own, and looks after each whether the server still
// serves: one that has died, or has stopped answering, is blamed on the check that it happened in, and ends the run.
import { ERRNO } from "@emudev/vfio-user";
import { reason } from "../errors.ts";
import { type Check, Mismatch, type Result, Skip } from "./check.ts";
import { type Facts, Probe } from "./probe.ts";

export interface RunOptions {
  socket: string;
  facts: Facts;
  timeoutMs: number;
  /** How long a server may take to listen again after a client has left. */
  waitMs: number;
  destructive: boolean;
  strict: boolean;
  signal: AbortSignal;
  /** Each result as it comes. */
  onResult(result: Result): void;
}

/** Waits that a check may need, as a multiple of the time for one reply. */
const REPLIES_A_CHECK = 4;

/** @returns why the run ended early, or null */
export async function runChecks(checks: readonly Check[], options: RunOptions): Promise<string | null> {
  let dead: string | null = null;
  for (const check of checks) {
    if (options.signal.aborted) return "interrupted";
    if (dead !== null) {
      options.onResult(skipped(check, "the server no longer serves"));
      continue;
    }
    const result = await runOne(check, options);
    if (result.outcome !== "skip") {
      const trouble = await stillServes(options);
      if (trouble !== null) {
        dead = `after '${check.name}' ${trouble}`;
        const got = result.got === "" ? trouble : `${result.got}; then ${trouble}`;
        const expected = result.expected || "a server that serves the next client";
        options.onResult({ ...result, outcome: "fail", expected, got });
        continue;
      }
    }
    options.onResult(result);
  }
  return dead;
}

async function runOne(check: Check, options: RunOptions): Promise<Result> {
  const { facts, timeoutMs, waitMs } = options;
  const why = check.skip?.(facts) ?? null;
  if (why !== null) return skipped(check, why);
  if (check.destructive && !options.destructive) return skipped(check, "it changes the device; give --destructive");
  const probe = new Probe(options.socket, facts, { timeoutMs, waitMs });
  const start = performance.now();
  const result: Result = { ...skipped(check, ""), reason: null, outcome: "pass" };
  try {
    await within(REPLIES_A_CHECK * timeoutMs + waitMs, check.run(probe));
  } catch (error) {
    if (error instanceof Skip) return skipped(check, error.message);
    const lesser = error instanceof Mismatch && (error.errnoOnly || check.severity === "reference");
    result.outcome = lesser && !options.strict ? "differs" : "fail";
    result.expected = error instanceof Mismatch ? error.expected : "a connection that can be used";
    result.got = error instanceof Mismatch ? error.got : reason(error);
  } finally {
    probe.close();
  }
  return { ...result, sent: probe.sent, ms: performance.now() - start };
}

/** The loser of the race goes on without anybody; its probe is closed, so it ends by itself. */
async function within(ms: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((_, reject) => {
    timer = setTimeout(() => reject(new Mismatch("an end", `none in ${ms} ms`)), ms);
  });
  work.catch(() => {});
  await Promise.race([work, late]).finally(() => clearTimeout(timer));
}

async function stillServes({ socket, facts, timeoutMs, waitMs }: RunOptions): Promise<string | null> {
  const probe = new Probe(socket, facts, { timeoutMs, waitMs });
  try {
    await within(
      2 * timeoutMs + waitMs,
      probe.connect().then(() => {}),
    );
    return null;
  } catch (error) {
    const { errno } = error as { errno?: number };
    if (errno === ERRNO.ECONNREFUSED || errno === ERRNO.ENOENT)
      return "the server had ended: nobody listens on the socket";
    return `the server no longer serves: ${reason(error)}`;
  } finally {
    probe.close();
  }
}

function skipped({ name, severity, reference }: Check, why: string): Result {
  return { name, severity, reference, outcome: "skip", reason: why, sent: "", expected: "", got: "", ms: 0 };
}
