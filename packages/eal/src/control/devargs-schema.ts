// What a driver's devargs may hold: a table from key to type, limits and default, and the check of given devargs against
// it. The outcome is an object typed by the table. Every refusal names the key and what is allowed, since this is the text
// a user sees who mistyped a `--vdev`. Called by the vdev bus before a driver's probe.
import { groupId, userId } from "@emudev/linux";
import { EalError } from "../errors.ts";
import type { Devargs } from "./devargs.ts";

interface Common {
  /** The device cannot do without it. */
  required?: boolean;
  /** One line for help texts. */
  help?: string;
}
export interface UintParam extends Common {
  type: "uint";
  min?: number;
  max?: number;
  default?: number;
}
export interface StringParam extends Common {
  type: "string" | "path";
  default?: string;
}
export interface BoolParam extends Common {
  type: "bool";
  default?: boolean;
}
/** Six bytes; devices whose address must be unicast say so by `unicast`. */
export interface MacParam extends Common {
  type: "mac";
  unicast?: boolean;
  default?: Uint8Array;
}
export interface ChoiceParam extends Common {
  type: "choice";
  choices: readonly string[];
  default?: string;
}
/** A number: permission bits, given in octal; or a user's or group's, given by number or name. */
export interface AccessParam extends Common {
  type: "mode" | "user" | "group";
  default?: number;
}
export type DevargsParam = UintParam | StringParam | BoolParam | MacParam | ChoiceParam | AccessParam;
export type DevargsSchema = Readonly<Record<string, DevargsParam>>;

type ValueOf<P> = P extends { type: "uint" | "mode" | "user" | "group" }
  ? number
  : P extends { type: "bool" }
    ? boolean
    : P extends { type: "mac" }
      ? Uint8Array
      : P extends { type: "choice"; choices: readonly (infer C)[] }
        ? C
        : string;
type Given<P> = P extends { required: true } ? true : P extends { default: unknown } ? true : false;

/** The checked devargs of a schema: keys that are required or have a default are always there. */
export type DevargsOf<S extends DevargsSchema> = {
  [K in keyof S]: Given<S[K]> extends true ? ValueOf<S[K]> : ValueOf<S[K]> | undefined;
};

/**
 * Checks devargs against a driver's table.
 * @throws EalError DEVARGS naming the key: unknown (with the allowed ones), missing, or of a wrong value (with the limits)
 */
export function checkDevargs<const S extends DevargsSchema>(devargs: Devargs, schema: S): DevargsOf<S> {
  const allowed = Object.keys(schema);
  for (const key of devargs.args.keys())
    if (!Object.hasOwn(schema, key)) {
      const keys = allowed.length === 0 ? "it takes none" : `allowed are ${allowed.join(", ")}`;
      throw new EalError("DEVARGS", `${devargs.name}: unknown key '${key}'; ${keys}`);
    }
  const values: Record<string, unknown> = {};
  for (const [key, param] of Object.entries(schema)) {
    const text = devargs.args.get(key);
    if (text === undefined) {
      if (param.required) throw new EalError("DEVARGS", `${devargs.name}: '${key}=' is missing; it is required`);
      values[key] = param.default;
      continue;
    }
    values[key] = readValue(param, text, (expected) => {
      throw new EalError("DEVARGS", `${devargs.name}: '${key}=${text}' is wrong; expected ${expected}`);
    });
  }
  return values as DevargsOf<S>;
}

function readValue(param: DevargsParam, text: string, refuse: (expected: string) => never): unknown {
  switch (param.type) {
    case "uint":
      return readUint(param, text, refuse);
    case "bool":
      if (["", "1", "on", "yes", "true"].includes(text)) return true;
      if (["0", "off", "no", "false"].includes(text)) return false;
      return refuse("0 or 1");
    case "mac":
      return readMac(param, text, refuse);
    case "mode":
      return /^0?[0-7]{1,3}$/.test(text) ? Number.parseInt(text, 8) : refuse("permissions in octal such as 660");
    case "user":
      return userId(text) ?? refuse("a user of this machine, by name or number");
    case "group":
      return groupId(text) ?? refuse("a group of this machine, by name or number");
    case "choice":
      return param.choices.includes(text) ? text : refuse(`one of ${param.choices.join(", ")}`);
    default:
      if (text === "" || text.includes("\0")) return refuse(param.type === "path" ? "a path" : "a text");
      return text;
  }
}

function readUint(param: UintParam, text: string, refuse: (expected: string) => never): number {
  const { min = 0, max = 0xffffffff } = param;
  const value = /^(\d{1,15}|0x[0-9a-f]{1,12})$/i.test(text) ? Number(text) : Number.NaN;
  return value >= min && value <= max ? value : refuse(`a number from ${min} to ${max}`);
}

function readMac(param: MacParam, text: string, refuse: (expected: string) => never): Uint8Array {
  const mac = parseMac(text);
  if (mac === null) return refuse("six bytes such as 02:00:00:00:00:01");
  if (param.unicast && ((mac[0]! & 1) === 1 || mac.every((byte) => byte === 0)))
    return refuse("a unicast address, not all zero");
  return mac;
}

/** Six bytes of `aa:bb:cc:dd:ee:ff`, or null. */
export function parseMac(text: string): Uint8Array | null {
  if (!/^[0-9a-f]{1,2}(:[0-9a-f]{1,2}){5}$/i.test(text)) return null;
  return Uint8Array.from(text.split(":"), (byte) => Number.parseInt(byte, 16));
}
