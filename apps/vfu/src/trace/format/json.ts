// A trace as JSON lines: one object a message, with the same keys in each. Bytes are hexadecimal strings, 64-bit numbers strings
// with 0x, times ISO 8601 with nanoseconds. The names are stable; the README lists them.
import { errnoName } from "@emudev/linux";
import { toJson } from "../../output.ts";
import type { Entry } from "../entry.ts";
import type { Event } from "../proxy/proxy.ts";
import type { Summary } from "../summary.ts";

export function jsonLine(entry: Entry): string {
  const { message, id, command, name, type, errno, fields, text, fault, latencyNs } = entry;
  return toJson({
    event: "message",
    time: isoTime(message.time),
    connection: message.connection,
    channel: message.channel,
    direction: message.direction,
    id,
    command,
    name,
    type,
    size: message.size,
    errno: type === "error" ? errnoName(errno) : null,
    latencyUs: latencyNs === null ? null : Number(latencyNs) / 1000,
    fields: plainFields(fields),
    fds: message.fds,
    malformed: fault,
    note: message.note,
    text,
  });
}

export function jsonEvent({ time, ...event }: Event): string {
  return toJson({ ...event, time: isoTime(time) });
}

export function jsonSummary(summary: Summary): string {
  return toJson({ event: "summary", messages: summary.messages, commands: summary.rows() });
}

export function isoTime(ns: bigint): string {
  const seconds = new Date(Number(ns / 1_000_000n)).toISOString().slice(0, 19);
  return `${seconds}.${String(ns % 1_000_000_000n).padStart(9, "0")}Z`;
}

/** Byte arrays anywhere become hexadecimal. */
function plainFields(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  if (Array.isArray(value)) return value.map(plainFields);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plainFields(each)]));
}
