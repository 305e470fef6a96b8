// The grammar of console commands, in the form of their help texts: words, `(a|b|c)` for a choice of words, `<type>` or
// `<type:label>` for an argument, `[...]` for a tail that may be missing. A syntax is compiled once into a list of nodes;
// parser.ts matches lines against it and completes them.
import { DESCRIPTOR_ERRORS, FAULT_MESSAGES, names } from "@emudev/avf-emudev";
import { POLL_MODES, parseMac } from "@emudev/eal";
import { PORT_TOPOLOGIES } from "../control/config.ts";
import { FWD_MODE_NAMES } from "../fwd/modes.ts";

/** One place in a command. */
export interface Node {
  /** How it is written in help texts. */
  text: string;
  /** The key of its value, "" for a word that has none. */
  name: string;
  /** The rest of the line belongs to it. */
  rest: boolean;
  /** It and all after it may be missing. */
  optional: boolean;
  /** The value of a token, undefined when it does not fit. */
  read(token: string): unknown;
  /** What stands here, as an error says it: "a number", "one of io, mac". */
  looks: string;
  /** What may stand here. */
  choices(world: World): readonly string[];
}

/** What completion needs to know of the world. */
export interface World {
  portIds(): readonly number[];
  files(prefix: string): readonly string[];
  sections(): readonly string[];
}

interface ArgType {
  /** What a token of this type looks like, where its name does not say it. */
  looks?: string;
  read(token: string): unknown;
  choices?(world: World): readonly string[];
  rest?: boolean;
}

const readUint = (token: string): number | undefined => (/^\d{1,9}$/.test(token) ? Number(token) : undefined);
const oneOf = (words: readonly string[]): ArgType => ({
  looks: words.length === 1 ? `'${words[0]}'` : `one of ${words.join(", ")}`,
  read: (token) => (words.includes(token) ? token : undefined),
  choices: () => words,
});

function word(choices: () => readonly string[] = () => []): ArgType {
  return { read: (token) => token, choices };
}

/** How often `set lcore-rebalance on` looks at the loads. */
const REBALANCE_MS = 1000;

const TYPES: Record<string, ArgType> = {
  uint: { looks: "a number", read: readUint },
  port: {
    looks: "a port number or 'all'",
    read: (token) => (token === "all" ? "all" : readUint(token)),
    choices: (world) => [...world.portIds().map(String), "all"],
  },
  portid: { looks: "a port number", read: readUint, choices: (world) => world.portIds().map(String) },
  portoff: {
    looks: "a port number or off",
    read: (token) => (token === "off" ? "off" : readUint(token)),
    choices: (world) => [...world.portIds().map(String), "off"],
  },
  onoff: { looks: "on or off", read: (token) => ({ on: true, off: false })[token], choices: () => ["on", "off"] },
  rebalance: {
    looks: "on, off or milliseconds from 10",
    read: (token) =>
      ({ on: REBALANCE_MS, off: 0 })[token] ?? (/^[1-9]\d{1,5}$/.test(token) ? Number(token) : undefined),
    choices: () => ["on", "off"],
  },
  mode: oneOf(FWD_MODE_NAMES),
  topology: oneOf(PORT_TOPOLOGIES),
  pollmode: oneOf(POLL_MODES),
  mac: { looks: "a MAC address, for instance 02:00:00:00:00:01", read: (token) => parseMac(token) ?? undefined },
  list: {
    looks: "numbers with commas between them",
    read: (token) => (/^\d{1,9}(,\d{1,9})*$/.test(token) ? token.split(",").map(Number) : undefined),
  },
  // What faults are made of (fault.ts); the provider says what is wrong with them.
  device: { looks: "an emulated device", ...word(names) },
  message: { looks: "a virtchnl message, or any", ...word(() => FAULT_MESSAGES) },
  error: word(() => DESCRIPTOR_ERRORS),
  state: oneOf(["down", "up"]),
  status: word(),
  queue: { looks: "a queue: rx0, tx0, ...", ...word() },
  vector: word(),
  ms: { looks: "milliseconds", ...word() },
  times: { looks: "a number", ...word() },
  section: { read: (token) => token, choices: (world) => world.sections() },
  text: { read: (token) => token },
  file: { read: (token) => token, choices: () => [] },
  devargs: { read: (token) => token, rest: true },
};

/** Compiles a syntax. */
export function compile(syntax: string): Node[] {
  const nodes: Node[] = [];
  let optional = false;
  for (const part of syntax.match(/\(.*?\)|<.*?>|\[|\]|[^\s[\]]+/g) ?? []) {
    if (part === "[") optional = true;
    else if (part !== "]") nodes.push({ ...compilePart(part), optional });
  }
  return nodes;
}

function compilePart(part: string): Omit<Node, "optional"> {
  if (part.startsWith("<")) {
    const [type = "", label = type] = part.slice(1, -1).split(":");
    const { read, choices = () => [], rest = false, looks = `a ${label}` } = TYPES[type] ?? missing(type);
    return { text: `<${label}>`, name: label, rest, looks, read, choices };
  }
  const words = part.startsWith("(") ? part.slice(1, -1).split("|") : [part];
  const choice = oneOf(words);
  return {
    text: part,
    name: words.length > 1 ? "what" : part,
    rest: false,
    looks: choice.looks!,
    read: choice.read,
    choices: () => words,
  };
}

function missing(type: string): never {
  throw new TypeError(`no such argument type: ${type}`);
}
