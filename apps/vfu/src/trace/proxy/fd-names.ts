// What an fd is, in a word: the name of a memfd, eventfd, socket, or the path of a file, as /proc tells it.
import { fdName } from "@emudev/linux";
import { printable } from "../../names.ts";

export function describeFd(fd: number): string {
  const name = printable(fdName(fd));
  if (name.startsWith("/memfd:")) return name.slice(1).replace(/ \(deleted\)$/, "");
  const anonymous = /^(?:anon_inode:)?\[?(\w+)/.exec(name);
  return name.startsWith("/") || anonymous === null ? name : (anonymous[1] ?? name);
}
