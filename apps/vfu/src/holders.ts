// Who is connected to a server's socket, for the message that a device is busy. The kernel tells who is at the other end of a
// unix socket only through sock_diag, which Node cannot speak: `ss` of iproute2 does, and where it is missing nobody is named.
import { execFileSync } from "node:child_process";
import { realpathSync } from "node:fs";

export interface Holder {
  pid: number;
  command: string;
}

/** Other processes that are connected to the socket; none where that cannot be found out. */
export function holders(socket: string): Holder[] {
  try {
    const text = execFileSync("ss", ["-xp"], { encoding: "utf8", timeout: 2000, stdio: ["ignore", "pipe", "ignore"] });
    return holdersIn(text, new Set([socket, realpathSync(socket)]));
  } catch {
    return [];
  }
}

/** From the text of `ss -xp`: who has the other ends of the sockets that bear one of these names; never this process. */
export function holdersIn(text: string, names: ReadonlySet<string>): Holder[] {
  const rows = text.split("\n").flatMap((line) => {
    // u_str ESTAB 0 0 /tmp/x.sock 805737 * 805736 users:(("node",pid=12,fd=20),...)
    const match = /^\S+\s+ESTAB\s+\d+\s+\d+\s+(.+?)\s+(\d+)\s+\S.*?\s+(\d+)(?:\s+users:\((.*)\))?\s*$/.exec(line);
    return match === null ? [] : [{ name: match[1], inode: match[2], peer: match[3], users: match[4] ?? "" }];
  });
  const peers = new Set(rows.filter(({ name }) => names.has(name ?? "")).map(({ peer }) => peer));
  const found = new Map<number, Holder>();
  for (const { inode, users } of rows) {
    if (!peers.has(inode)) continue;
    for (const [, command = "", pid] of users.matchAll(/\("([^"]*)",pid=(\d+)/g)) {
      found.set(Number(pid), { pid: Number(pid), command });
    }
  }
  found.delete(process.pid);
  return [...found.values()];
}
