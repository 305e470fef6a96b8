// One decoded message, and what else a trace tells of: the form that filters and formats take. Made by tracer.ts.
import type { Passed } from "./passed.ts";

export interface Entry {
  message: Passed;
  id: number;
  command: number;
  /** The command's name in the specification. */
  name: string;
  /** "posted" is a command that wants no reply. */
  type: "command" | "posted" | "reply" | "error" | "unknown";
  /** Of an error reply. */
  errno: number;
  fields: Record<string, unknown>;
  text: string;
  /** Why the message is malformed, or null. */
  fault: string | null;
  /** Since the request, of a reply to one that was seen. */
  latencyNs: bigint | null;
}
