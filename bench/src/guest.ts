// `guest/...`: what a real Linux guest gets from its AVF, driven by its own iavf, through testpmd (io) to a TAP: the mean round
// trip of a ping, and TCP each way with equal sha256. Without KVM the guest's emulated CPU is most of it. One boot, several
// rounds; the work is done by the guest lab's own program.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Result, summarize } from "./measure.ts";
import { outputOf } from "./output-of.ts";

const PROGRAM = fileURLToPath(new URL("../../test/guest/dist/speed.js", import.meta.url));
const ROUNDS = 5;
const TIMEOUT_MS = 280_000;

/** What the program says, as a line of JSON: a round, or why there is none. */
type Told = { pingUs: number; toGuest: number; fromGuest: number } | { missing: string };

/** The figures, or why there are none. */
export async function guestBench(name: string): Promise<Result[] | string> {
  if (!existsSync(PROGRAM)) return "test/guest is not built (npm run build)";
  const text = await outputOf(process.execPath, [PROGRAM, `${ROUNDS}`], TIMEOUT_MS);
  const lines = text.split("\n").filter((line) => line.startsWith("{"));
  const rounds = lines.map((line) => JSON.parse(line) as Told);
  const done = rounds.flatMap((round) => ("missing" in round ? [] : [round]));
  if (done.length !== ROUNDS) {
    const [first] = rounds;
    if (first !== undefined && "missing" in first) return first.missing;
    throw new Error(`${name}: ${done.length} rounds of ${ROUNDS}: ${text.slice(-400)}`);
  }
  const of = (what: string, unit: string, take: (round: (typeof done)[number]) => number): Result =>
    summarize(`${name}/${what}`, unit, done.map(take), []);
  return [
    of("ping", "us", ({ pingUs }) => pingUs),
    of("tcp-to-guest", "MB/s", ({ toGuest }) => toGuest),
    of("tcp-from-guest", "MB/s", ({ fromGuest }) => fromGuest),
  ];
}
