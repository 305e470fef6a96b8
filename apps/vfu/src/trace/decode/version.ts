// VERSION (1) for people: numbers and capabilities of both sides. Everything in the JSON is shown, known or not; what our own
// negotiation would refuse is a fault.
import { wire } from "@emudev/vfio-user";
import { printable } from "../../names.ts";
import { type Decoded, decoded, type Payload, short } from "./types.ts";

export function version(payload: Payload): Decoded {
  const msg = wire.version.decode(payload.view, 0, payload.body.length);
  if (msg === null) return short(payload, wire.version.SIZE);
  const { major, minor, json } = msg;
  const text = new TextDecoder().decode(json).replace(/\0.*$/s, "");
  let root: unknown = null;
  try {
    if (text !== "") root = JSON.parse(text);
  } catch {
    // told by the fault
  }
  const capabilities = (root as { capabilities?: unknown } | null)?.capabilities ?? null;
  const fields = { major, minor, capabilities, ...(root === null && text !== "" ? { json: text } : {}) };
  const said = printable(capabilitiesText(capabilities) ?? text);
  const fault = payload.length === payload.body.length ? wire.version.invalid(msg) : null;
  return decoded(`${major}.${minor}${said === "" ? "" : ` ${said}`}`, fields, fault);
}

/** "max_msg_fds=16 write_multiple=true"; null when there is nothing of that form. */
function capabilitiesText(capabilities: unknown): string | null {
  if (typeof capabilities !== "object" || capabilities === null) return null;
  const pairs = Object.entries(capabilities as Record<string, unknown>);
  return pairs.map(([key, value]) => `${key}=${JSON.stringify(value)?.replaceAll('"', "")}`).join(" ");
}
