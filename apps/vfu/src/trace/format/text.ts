// A trace as lines of text for people: time of day, connection, direction, message id, command, what it says, and at the end
// what is remarkable about it. Colours are the escape sequences of ECMA-48, on a terminal alone.
import { errnoName } from "@emudev/linux";
import type { Entry } from "../entry.ts";
import type { Event } from "../proxy/proxy.ts";

const NAME_WIDTH = 15;
const FDS_MOST = 3;

const COLOUR = { red: "31", yellow: "33", cyan: "36", dim: "2", bold: "1" } as const;
type Paint = (text: string, colour: keyof typeof COLOUR) => string;

export const plain: Paint = (text) => text;
export const coloured: Paint = (text, colour) => (text === "" ? "" : `\x1b[${COLOUR[colour]}m${text}\x1b[0m`);

export function textLine(entry: Entry, paint: Paint = plain): string {
  const { message, id, name, type, text, fault, latencyNs } = entry;
  const connection = `${message.connection}${message.channel === "twin" ? "t" : ""}`;
  const answer = type === "reply" || type === "error";
  const parts = [
    paint(timeOfDay(message.time), "dim"),
    connection,
    paint(message.direction, message.direction === "c>s" ? "cyan" : "yellow"),
    String(id).padStart(5),
    answer ? name.padEnd(NAME_WIDTH) : paint(name.padEnd(NAME_WIDTH), "bold"),
    type === "error" ? paint(errnoText(entry), "red") : text,
    fdsText(message.fds),
    type === "posted" ? paint("posted", "dim") : "",
    answer && latencyNs === null && message.kind === "message" ? paint("unasked", "dim") : "",
    latencyNs === null ? "" : paint(`(${latencyText(latencyNs)})`, "dim"),
    message.kind === "large" ? paint(`large: ${message.size} bytes`, "dim") : "",
    message.note === null ? "" : paint(`[${message.note}]`, "dim"),
    fault === null ? "" : paint(`MALFORMED: ${fault}`, "red"),
  ];
  return parts
    .filter((part) => part !== "")
    .join(" ")
    .trimEnd();
}

/** The decoded line of a message without when and where: what a capture has as its comment. */
export function bareLine({ message, name, type, text, fault, errno }: Entry): string {
  const answer = type === "reply" ? "reply" : type === "posted" ? "posted" : "";
  const said = type === "error" ? errnoText({ errno }) : text;
  const wrong = fault === null ? "" : `MALFORMED: ${fault}`;
  return [name, answer, said, fdsText(message.fds), wrong].filter((part) => part !== "").join(" ");
}

export function eventLine(event: Event, paint: Paint = plain): string {
  const head = `${paint(timeOfDay(event.time), "dim")} ${event.connection}`;
  if (event.event === "connect") return `${head} --- connected`;
  if (event.event === "disconnect")
    return `${head} --- ended by the ${event.by === "trace" ? "end of this trace" : event.by}`;
  return `${head} --- ${paint(`no server for this client: ${event.reason}`, "red")}`;
}

const errnoText = ({ errno }: { errno: number }): string => (errno === 0 ? "error 0" : errnoName(errno));

/** "1 fd: memfd:ram", "3 fds: eventfd x3". */
function fdsText(fds: readonly string[]): string {
  if (fds.length === 0) return "";
  const counts = new Map<string, number>();
  for (const fd of fds) counts.set(fd, (counts.get(fd) ?? 0) + 1);
  const names = [...counts].slice(0, FDS_MOST).map(([name, count]) => (count === 1 ? name : `${name} x${count}`));
  if (counts.size > FDS_MOST) names.push("...");
  return `${fds.length} ${fds.length === 1 ? "fd" : "fds"}: ${names.join(", ")}`;
}

/** HH:MM:SS.uuuuuu, local. */
function timeOfDay(ns: bigint): string {
  const date = new Date(Number(ns / 1_000_000n));
  const two = (value: number): string => String(value).padStart(2, "0");
  const us = String((ns / 1000n) % 1_000_000n).padStart(6, "0");
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${us}`;
}

function latencyText(ns: bigint): string {
  const us = Number(ns) / 1000;
  if (us < 1000) return `${us.toFixed(1)} us`;
  return us < 1e6 ? `${(us / 1000).toFixed(1)} ms` : `${(us / 1e6).toFixed(2)} s`;
}
