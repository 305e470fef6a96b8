// Messages for the tests of `vfu trace`, written in hexadecimal field by field as the specification's tables have them.
import type { Passed } from "../src/trace/passed.ts";

export const bytesOf = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex.replace(/\s/g, ""), "hex"));
export const u16 = (value: number): string => Buffer.from(Uint16Array.of(value).buffer).toString("hex");
export const u32 = (value: number): string => Buffer.from(Uint32Array.of(value).buffer).toString("hex");
export const u64 = (value: bigint): string => Buffer.from(BigUint64Array.of(value).buffer).toString("hex");
/** JSON of a VERSION message, with its NUL. */
export const json = (text: string): string => `${Buffer.from(text).toString("hex")}00`;

/** A whole message. */
export function message(id: number, command: number, payload: string, flags = 0, error = 0): Uint8Array {
  const body = bytesOf(payload);
  return Uint8Array.of(...bytesOf(u16(id) + u16(command) + u32(16 + body.length) + u32(flags) + u32(error)), ...body);
}

export interface Told {
  id?: number;
  reply?: boolean;
  flags?: number;
  error?: number;
  fds?: string[];
  time?: bigint;
  kind?: Passed["kind"];
  /** As the header has it, when it is wrong. */
  size?: number;
  /** The command is one of the server's. */
  server?: boolean;
}

/** A message as the tracer takes it. */
export function passed(command: number, payload: string, told: Told = {}): Passed {
  const { id = 1, reply = false, flags = reply ? 1 : 0, error = 0, fds = [], time = 0n, kind = "message" } = told;
  const bytes = message(id, command, payload, flags, error);
  const size = told.size ?? bytes.length;
  new DataView(bytes.buffer).setUint32(4, size, true);
  const direction = reply !== (told.server ?? false) ? "s>c" : "c>s";
  return { connection: 1, channel: "main", direction, kind, bytes, size, time, fds, fdsLost: false, note: null };
}
