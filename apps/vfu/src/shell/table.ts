// The commands of `vfu shell`: words, help, and what each does with its session. A line is words with blanks between them; what stands
// behind # is a comment.
import { setTimeout as sleep } from "node:timers/promises";
import { DEVICE_FLAG } from "@emudev/vfio-user";
import { usage, VfuError } from "../errors.ts";
import { hex, littleEndian, parseNumber, parseRegion, parseValue, regionName, valueText } from "../names.ts";
import { hexdump } from "../pci/space.ts";
import { accessOf, isWidth, placeOf, type Width, withAccess } from "../place.ts";
import type { Session } from "./session.ts";

interface ShellCommand {
  args: string;
  help: string;
  run(session: Session, words: readonly string[]): Promise<void> | void;
}

const COMMANDS: Record<string, ShellCommand> = {
  read: { args: "REGION OFFSET [BYTES]", help: "a register by offset or name, or so many bytes", run: read },
  write: { args: "REGION OFFSET VALUE [WIDTH]", help: "a register", run: write },
  irqs: { args: "", help: "print interrupts as they come", run: (session) => session.watchInterrupts() },
  wait: { args: "[MS]", help: "until an interrupt has come; fails if none does (--timeout)", run: wait },
  sleep: { args: "MS", help: "wait so long", run: (_session, [ms = ""]) => sleep(parseNumber("MS", ms, 0, 3_600_000)) },
  map: { args: "ADDRESS BYTES", help: "lend the device zeroed memory; it also wants write config COMMAND 6", run: map },
  unmap: { args: "ADDRESS", help: "take it back", run: (session, [at = ""]) => session.takeBack(address(at)) },
  dump: { args: "ADDRESS [BYTES]", help: "show lent memory (64)", run: dump },
  put: { args: "ADDRESS BYTE...", help: "store bytes, in hexadecimal, in lent memory", run: put },
  reset: { args: "", help: "DEVICE_RESET", run: reset },
  help: { args: "", help: "this list", run: (session) => session.print(COMMANDS, helpLines()) },
  quit: { args: "", help: "or the end of the input", run: () => {} },
};

export const isQuit = (line: string): boolean => wordsOf(line)[0] === "quit";

/** @throws VfuError USAGE for a line that is none, TARGET when the device says no */
export async function runLine(session: Session, line: string): Promise<void> {
  const [name, ...words] = wordsOf(line);
  if (name === undefined) return;
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) throw usage(`'${name}' is no command: ${Object.keys(COMMANDS).join(", ")}`);
  const { args } = command;
  const most = args.endsWith("...") ? Number.POSITIVE_INFINITY : args.split(" ").filter((word) => word !== "").length;
  const least = args
    .replace(/\[.*/, "")
    .split(" ")
    .filter((word) => word !== "").length;
  if (words.length < least || words.length > most) throw usage(`usage: ${name} ${args}`.trimEnd());
  await command.run(session, words);
}

function wordsOf(line: string): string[] {
  return line
    .replace(/#.*/, "")
    .trim()
    .split(/\s+/)
    .filter((word) => word !== "");
}

function helpLines(): string[] {
  const rows = Object.entries(COMMANDS).map(([name, { args, help }]) => [`${name} ${args}`, help] as const);
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, help]) => `${left.padEnd(width)}  ${help}`);
}

async function read(session: Session, [where = "", offset = "", bytes]: readonly string[]): Promise<void> {
  const region = parseRegion(where);
  const count = bytes === undefined ? undefined : parseNumber("BYTES", bytes, 1, 1 << 28);
  const width = count !== undefined && isWidth(count) ? count : undefined;
  const place = placeOf(session.device, region, offset, width);
  const length = count ?? place.width;
  const open = accessOf(session.client, false);
  const data = await withAccess(open, region, place.offset, length, (access) => access.read(length));
  const shown = { region: regionName(region), offset: hex(place.offset), name: place.name };
  if (isWidth(length)) {
    session.print({ ...shown, width: length, value: hex(littleEndian(data), 2 * length) }, [valueText(data)]);
  } else {
    const dumped = hexdump(data, place.offset, 8);
    session.print({ ...shown, count: length, bytes: Buffer.from(data).toString("hex") }, dumped);
  }
}

async function write(session: Session, [where = "", offset = "", value = "", bytes]: readonly string[]): Promise<void> {
  const region = parseRegion(where);
  const width = bytes === undefined ? undefined : parseNumber("WIDTH", bytes, 1, 8);
  if (width !== undefined && !isWidth(width)) throw usage(`WIDTH ${width}: expected 1, 2, 4 or 8`);
  const place = placeOf(session.device, region, offset, width as Width | undefined);
  const data = parseValue(value, place.width);
  const open = accessOf(session.client, false);
  await withAccess(open, region, place.offset, data.length, (access) => access.write(data, false));
}

function wait(session: Session, [ms]: readonly string[]): Promise<void> {
  return session.interrupt(ms === undefined ? session.timeout : parseNumber("MS", ms, 1, 3_600_000));
}

function map(session: Session, [at = "", bytes = ""]: readonly string[]): Promise<void> {
  const size = parseNumber("BYTES", bytes, 4096, 2 ** 32);
  if (size % 4096 !== 0 || address(at) % 4096n !== 0n) throw usage("ADDRESS and BYTES are multiples of 4096");
  return session.lend(address(at), size);
}

function dump(session: Session, [at = "", bytes = "64"]: readonly string[]): void {
  const data = session.memory(address(at), parseNumber("BYTES", bytes, 1, 1 << 28)).slice();
  session.print(
    { address: at, bytes: Buffer.from(data).toString("hex") },
    hexdump(data, parseNumber("ADDRESS", at, 0), 8),
  );
}

function put(session: Session, [at = "", ...bytes]: readonly string[]): void {
  const data = Buffer.from(bytes.join(""), "hex");
  if (!bytes.every((word) => /^([0-9a-f]{2})+$/i.test(word)))
    throw usage("bytes are pairs of hexadecimal digits: 01 ff");
  session.memory(address(at), data.length).set(data);
}

async function reset({ client }: Session): Promise<void> {
  const { flags } = await client.getInfo();
  if ((flags & DEVICE_FLAG.RESET) === 0) throw new VfuError("TARGET", "the device does not offer reset");
  await client.reset();
}

const address = (text: string): bigint => BigInt(parseNumber("ADDRESS", text, 0));
