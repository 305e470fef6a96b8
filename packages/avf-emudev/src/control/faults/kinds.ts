// The faults that a device can be told to have, as a person or a script writes them: `drop ENABLE_QUEUES 2`, `reset 100`,
// `stall rx0`. This table is what testpmd makes its commands and help of, and what telemetry is checked against; faults.ts
// carries out what `parseFault` returns.
import { VIRTCHNL_OP, VIRTCHNL_STATUS } from "@emudev/avf";
import { EmuIavfError } from "../errors.ts";

export interface FaultKind {
  name: string;
  /** Its arguments, `<needed>` or, from a `[` on, optional. */
  args: string;
  help: string;
}

export const FAULT_KINDS: readonly FaultKind[] = [
  { name: "drop", args: "<message> [<times>]", help: "virtchnl messages get no answer and are not carried out" },
  { name: "delay", args: "<message> <ms> [<times>]", help: "they are carried out at once and answered late" },
  {
    name: "refuse",
    args: "<message> [<status> <times>]",
    help: "they are answered with an error, ERR_PARAM by default",
  },
  { name: "reset", args: "[<ms>]", help: "RESET_IMPENDING now, the reset of the function that much later (20)" },
  { name: "surprise-reset", args: "", help: "the same without a warning" },
  { name: "link", args: "<state>", help: "the guest's link is down, or again what the backend says (up)" },
  { name: "flap", args: "[<times> <ms>]", help: "the link goes down and up (1), each for so long (100)" },
  { name: "stall", args: "<queue> [<ms>]", help: "a queue stands still: rx0, tx0, ..., all; for ever, or so long" },
  { name: "descriptor", args: "<queue> <error>", help: "one receive descriptor comes back wrong, with no packet" },
  { name: "mute", args: "<vector> [<ms>]", help: "interrupts of a vector, or all, are lost" },
  { name: "spurious", args: "<vector> [<times>]", help: "interrupts without a cause" },
  { name: "dead", args: "[<ms>]", help: "every register reads as ones, writes are lost: as off the bus" },
  { name: "clear", args: "", help: "ends all faults" },
];

/** What may be dropped, delayed or refused, by name. */
export const FAULT_MESSAGES: readonly string[] = [...Object.keys(VIRTCHNL_OP), "any"];

/** How a receive descriptor may be wrong. */
export const DESCRIPTOR_ERRORS = ["too-long", "empty", "receive-error", "no-end", "bad-type"] as const;
export type DescriptorError = (typeof DESCRIPTOR_ERRORS)[number];

export type Fault =
  | { kind: "drop" | "delay" | "refuse"; op: number | null; ms: number; status: number; times: number }
  | { kind: "reset"; ms: number }
  | { kind: "surprise-reset" | "clear" }
  | { kind: "link"; up: boolean }
  | { kind: "flap"; times: number; ms: number }
  | { kind: "stall"; queues: number[]; ms: number }
  | { kind: "descriptor"; queue: number; error: DescriptorError }
  | { kind: "mute"; vectors: number[]; ms: number }
  | { kind: "spurious"; vectors: number[]; times: number }
  | { kind: "dead"; ms: number };

const MAX_MS = 3_600_000;
const MAX_TIMES = 1_000_000;
/** The longest way from RESET_IMPENDING to the reset, unless said otherwise; drivers prepare in a few milliseconds. */
const WARNING_MS = 20;
const FLAP_MS = 100;

/**
 * @param words the kind and its arguments
 * @param pairs queue pairs of the device; its vectors are one more
 * @throws EmuIavfError FAULT that says what was expected
 */
export function parseFault(words: readonly string[], pairs: number): Fault {
  const [name = "", ...args] = words;
  const kind = FAULT_KINDS.find((each) => each.name === name);
  if (kind === undefined) throw wrong(`'${name}' is no fault; there are ${FAULT_KINDS.map((k) => k.name).join(", ")}`);
  const labels = [...kind.args.matchAll(/<(\w+)>/g)].map((match) => match[1]!);
  const needed = [...kind.args.replace(/\[.*/, "").matchAll(/</g)].length;
  const usage = `${name} ${kind.args}`.trimEnd();
  if (args.length < needed || args.length > labels.length) throw wrong(`usage: ${usage}`);
  const values = new Map(labels.map((label, i) => [label, args[i]]));
  const number = (label: string, missing: number, most: number): number => {
    const text = values.get(label);
    if (text === undefined) return missing;
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= 1 && value <= most)) throw wrong(`${label} '${text}': expected a number from 1 to ${most}`);
    return value;
  };
  const ms = (missing: number): number => number("ms", missing, MAX_MS);
  const times = (missing: number): number => number("times", missing, MAX_TIMES);
  switch (name) {
    case "drop":
    case "delay":
    case "refuse": {
      const [op, status] = [opOf(values.get("message")!), statusOf(values.get("status") ?? "ERR_PARAM")];
      return { kind: name, op, status, ms: ms(0), times: times(Number.POSITIVE_INFINITY) };
    }
    case "reset":
      return { kind: name, ms: ms(WARNING_MS) };
    case "link":
      return { kind: name, up: oneOf("link", values.get("state")!, ["down", "up"]) === "up" };
    case "flap":
      return { kind: name, times: times(1), ms: ms(FLAP_MS) };
    case "stall":
      return { kind: name, queues: queuesOf(values.get("queue")!, pairs), ms: ms(0) };
    case "descriptor": {
      const [queue, ...more] = queuesOf(values.get("queue")!, pairs);
      if (queue === undefined || more.length > 0 || (queue & 1) === 1)
        throw wrong("expected a receive queue, rx0 for instance");
      return { kind: name, queue, error: oneOf("error", values.get("error")!, DESCRIPTOR_ERRORS) };
    }
    case "mute":
      return { kind: name, vectors: vectorsOf(values.get("vector")!, pairs + 1), ms: ms(0) };
    case "spurious":
      return { kind: name, vectors: vectorsOf(values.get("vector")!, pairs + 1), times: times(1) };
    case "dead":
      return { kind: name, ms: ms(0) };
    default:
      return { kind: name as "surprise-reset" | "clear" };
  }
}

/** An operation by name or number; null is every one. */
function opOf(text: string): number | null {
  if (text === "any") return null;
  const op =
    VIRTCHNL_OP[text.toUpperCase() as keyof typeof VIRTCHNL_OP] ?? (/^\d{1,3}$/.test(text) ? Number(text) : undefined);
  if (op === undefined)
    throw wrong(`'${text}' is no virtchnl message: ENABLE_QUEUES, GET_STATS, ..., a number, or any`);
  return op;
}

function statusOf(text: string): number {
  const status =
    VIRTCHNL_STATUS[text.toUpperCase() as keyof typeof VIRTCHNL_STATUS] ??
    (/^-\d{1,4}$/.test(text) ? Number(text) : undefined);
  if (status === undefined) {
    const names = Object.keys(VIRTCHNL_STATUS).filter((name) => name !== "SUCCESS");
    throw wrong(`'${text}' is no virtchnl status: ${names.join(", ")}, or a number below 0`);
  }
  return status;
}

/** Queues by emudev's numbers: 2 i = rx i, 2 i + 1 = tx i. */
function queuesOf(text: string, pairs: number): number[] {
  if (text === "all") return Array.from({ length: 2 * pairs }, (_, queue) => queue);
  const match = /^(rx|tx)(\d{1,2})$/.exec(text);
  const pair = Number(match?.[2]);
  if (match === null || pair >= pairs)
    throw wrong(`'${text}' is no queue: rx0 to rx${pairs - 1}, tx0 to tx${pairs - 1}, all`);
  return [2 * pair + (match[1] === "tx" ? 1 : 0)];
}

function vectorsOf(text: string, vectors: number): number[] {
  if (text === "all") return Array.from({ length: vectors }, (_, vector) => vector);
  const vector = /^\d{1,2}$/.test(text) ? Number(text) : Number.NaN;
  if (!(vector < vectors)) throw wrong(`'${text}' is no vector: 0 (admin queue) to ${vectors - 1}, all`);
  return [vector];
}

function oneOf<const T extends string>(what: string, text: string, words: readonly T[]): T {
  const found = words.find((word) => word === text);
  if (found === undefined) throw wrong(`${what} '${text}': expected ${words.join(", ")}`);
  return found;
}

const wrong = (message: string): EmuIavfError => new EmuIavfError("FAULT", message);
