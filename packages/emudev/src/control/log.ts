// The class's own log type, `lib.emudev`. Tests and tools that use the class without an EAL get plain lines on standard
// error, since a late lcore or subscriber must never go unnamed.
import { eal } from "@emudev/eal";

/** Writes a warning to the log type `lib.emudev`. */
export function warn(message: string): void {
  try {
    eal().log.child("lib.emudev").warning(message);
  } catch {
    process.stderr.write(`EMUDEV: ${message}\n`);
  }
}
