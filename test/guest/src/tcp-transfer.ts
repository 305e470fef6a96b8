// A TCP transfer between the guest and the host's peer in a namespace, each way, with the sha256 taken at both ends. The guest
// uses busybox's nc; what it received is what it sends back, so that the payload need not be made under emulation.
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { LabError } from "./lab-error.ts";
import type { NetNs } from "./netns.ts";
import type { Guest } from "./qemu.ts";

export interface Transfer {
  /** What the host sent, what the guest received and sent back, what the host received: sha256 and bytes of each. */
  sent: string;
  guest: string;
  received: string;
  bytes: number;
  /** Seconds that each way took. */
  seconds: { toGuest: number; fromGuest: number };
}

interface Told {
  port?: number;
  bytes?: number;
  sha256?: string;
  error?: string;
}

/** Moves `bytes` to the guest and back over TCP; `host` is the address of the namespace's end. */
export async function transfer(guest: Guest, netns: NetNs, host: string, bytes: number): Promise<Transfer> {
  const peer = netns.node(fileURLToPath(new URL("tcp-peer.js", import.meta.url)), String(bytes));
  try {
    const lines = createInterface({ input: peer.process.stdout! })[Symbol.asyncIterator]();
    const next = async (): Promise<Told> => {
      const { value, done } = await lines.next();
      if (done) throw new LabError("GONE", "the TCP peer ended");
      const told = JSON.parse(value) as Told;
      if (told.error !== undefined) throw new LabError("COMMAND", `TCP peer, port ${told.port}: ${told.error}`);
      return told;
    };
    await next();
    const limit = 120_000;
    const start = Date.now();
    await guest.ok(`nc ${host} 5001 < /dev/null > /tmp/payload`, limit);
    const half = Date.now();
    const sent = await next();
    const digest = (await guest.ok("sha256sum < /tmp/payload", limit)).split(" ")[0]!;
    const again = Date.now();
    await guest.ok(`nc ${host} 5002 < /tmp/payload; rm /tmp/payload`, limit);
    const received = await next();
    const seconds = { toGuest: (half - start) / 1000, fromGuest: (Date.now() - again) / 1000 };
    return { sent: sent.sha256!, guest: digest, received: received.sha256!, bytes: received.bytes!, seconds };
  } finally {
    await peer.end("SIGTERM", 2000);
  }
}
