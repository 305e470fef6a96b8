// A network namespace for the host's side of a TAP: testpmd and a TCP peer are run in it by `ip netns exec`, so that the
// machine's own network is never touched and every address is private to the test. Needs root, see machine.ts.
import { spawnSync } from "node:child_process";
import { Child } from "./child.ts";
import { LabError } from "./lab-error.ts";

let count = 0;

export class NetNs {
  readonly name: string;

  constructor() {
    this.name = `emudev-${process.pid}-${++count}`;
    ip("netns", "add", this.name);
    this.ip("link", "set", "lo", "up");
  }

  /** Command line prefix that runs a program in the namespace, with the pid that it is started with. */
  get prefix(): string[] {
    return ["ip", "netns", "exec", this.name];
  }

  /** Runs `ip` with these arguments in the namespace and returns its output. */
  ip(...args: string[]): string {
    return ip("-n", this.name, ...args);
  }

  /** Brings an interface of the namespace up, with an address as "10.0.0.1/24". */
  up(device: string, cidr: string, mtu?: number): void {
    if (mtu !== undefined) this.ip("link", "set", device, "mtu", String(mtu));
    this.ip("addr", "replace", cidr, "dev", device);
    this.ip("link", "set", device, "up");
  }

  /** Starts a Node program of the lab in the namespace. */
  node(file: string, ...args: string[]): Child {
    const [command, ...rest] = [...this.prefix, process.execPath, file, ...args];
    return new Child(command!, rest, { stdio: ["ignore", "pipe", "inherit"] });
  }

  /** Removes the namespace; its interfaces go with it. */
  remove(): void {
    spawnSync("ip", ["netns", "delete", this.name]);
  }
}

function ip(...args: string[]): string {
  const done = spawnSync("ip", args, { encoding: "utf8" });
  if (done.error) throw new LabError("TOOL", `ip does not run: ${done.error.message}; install iproute2`);
  if (done.status !== 0) throw new LabError("COMMAND", `ip ${args.join(" ")}: ${done.stderr.trim()}`);
  return done.stdout;
}
