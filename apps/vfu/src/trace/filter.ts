// `--only`: which messages are shown. A list of names with commas: of commands, regions or registers, where * stands for
// anything; "errors", "malformed", "posted", "fds"; behind ! what is not to be shown. A message is shown that one of the names fits,
// or any when there are only names behind !.

import { REGISTERS } from "@emudev/avf";
import { COMMAND } from "@emudev/vfio-user";
import { headerNames, namedRegisters } from "../devices.ts";
import { usage } from "../errors.ts";
import { regionName } from "../names.ts";
import type { Entry } from "./entry.ts";

export type Filter = (entry: Entry) => boolean;

const KINDS: Record<string, Filter | undefined> = {
  errors: ({ type }) => type === "error",
  malformed: ({ fault }) => fault !== null,
  posted: ({ type }) => type === "posted",
  fds: ({ message }) => message.fds.length > 0,
};

/** @throws VfuError USAGE */
export function filterOf(text: string | undefined): Filter {
  if (text === undefined) return () => true;
  const names = text.split(",").map((name) => name.trim());
  const shown = names.filter((name) => !name.startsWith("!")).map(matcher);
  const hidden = names.filter((name) => name.startsWith("!")).map((name) => matcher(name.slice(1)));
  return (entry) => (shown.length === 0 || shown.some((fits) => fits(entry))) && !hidden.some((fits) => fits(entry));
}

/** Names that no message can have, as far as names are known: commands, regions, registers of the AVF and of config space. */
export function unknownNames(text: string | undefined): string[] {
  const names = (text ?? "").split(",").map((name) => name.trim().replace(/^!/, ""));
  return names.filter((name) => {
    if (name === "" || KINDS[name.toLowerCase()] !== undefined || name.includes(".")) return false;
    const pattern = patternOf(name.replace(/\([\d,*?]*\)$/, ""));
    return !knownNames().some((known) => pattern.test(known));
  });
}

function knownNames(): string[] {
  const indexes = Array.from({ length: 9 }, (_, index) => index);
  const own = indexes.flatMap((index) => namedRegisters(index));
  const registers = [...REGISTERS, ...own].map(({ name }) => name);
  return [...Object.keys(COMMAND), ...indexes.map(regionName), ...registers, ...headerNames()];
}

function patternOf(name: string): RegExp {
  return new RegExp(`^${name.replace(/[().]/g, "\\$&").replaceAll("*", ".*").replaceAll("?", ".")}$`, "i");
}

function matcher(name: string): Filter {
  if (!/^[\w*?().-]+$/.test(name)) {
    throw usage(`--only '${name}': expected a command, region or register, ${Object.keys(KINDS).join(", ")}`);
  }
  const kind = KINDS[name.toLowerCase()];
  if (kind !== undefined) return kind;
  const pattern = patternOf(name);
  const fits = (value: unknown): boolean => typeof value === "string" && pattern.test(value);
  return (entry) => fits(entry.name) || placesOf(entry).some(fits);
}

function placesOf({ fields }: Entry): unknown[] {
  const places = [fields.region, fields.register];
  for (const write of (fields.writes ?? []) as { index: number; register?: string }[]) {
    places.push(regionName(write.index), write.register);
  }
  return places;
}
