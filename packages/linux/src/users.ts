// Numbers of users and groups by name (getpwnam(3), getgrnam(3)), through whatever name service the machine has. For
// options that say who owns a socket file or who may connect.
import { getgrnam, getpwnam, viewOf } from "./libc.ts";

// struct passwd and struct group, 64-bit, glibc and musl: name 0, password 8, then the number.
const ID_AT = 16;

/** The uid of a user, or of digits; null when there is no such user. */
export function userId(name: string): number | null {
  return numberOf(name, getpwnam);
}

/** The gid of a group, or of digits; null when there is no such group. */
export function groupId(name: string): number | null {
  return numberOf(name, getgrnam);
}

function numberOf(name: string, lookUp: (name: string) => number): number | null {
  if (/^\d{1,10}$/.test(name)) return Number(name) < 0xffffffff ? Number(name) : null; // -1 means "leave it" to chown(2)
  if (name === "" || name.includes("\0")) return null;
  const entry = lookUp(name);
  return entry === 0 ? null : new DataView(viewOf(entry, ID_AT + 4)).getUint32(ID_AT, true);
}
