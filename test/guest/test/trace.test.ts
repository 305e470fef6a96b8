// QEMU's vfio-user client and a guest's own iavf driver through `vfu trace --trap`: the guest pings as if nothing stood between,
// and the trace shows by name what the driver wrote to bring its admin queue up and every doorbell that it rang.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Child } from "../src/child.ts";
import { repository } from "../src/paths.ts";
import { ping } from "../src/ping.ts";
import { scene } from "../src/scene.ts";

interface Message {
  event: string;
  connection: number;
  direction: string;
  name: string;
  type: string;
  errno: string | null;
  malformed: string | null;
  fields: Record<string, unknown>;
  fds: string[];
}

/** `vfu trace` as a user starts it, and what it printed as JSON. */
class Trace {
  readonly child: Child;
  #text = "";

  constructor(listen: string, server: string) {
    const program = join(repository, "apps/vfu/dist/main.js");
    const args = [program, "trace", listen, server, "--trap", "--format", "json"];
    this.child = new Child(process.execPath, args, { stdio: ["ignore", "pipe", "ignore"] });
    this.child.process.stdout!.setEncoding("utf8").on("data", (text: string) => {
      this.#text += text;
    });
  }

  messages(): Message[] {
    const lines = this.#text.trimEnd().split("\n");
    return lines.map((line) => JSON.parse(line)).filter(({ event }) => event === "message");
  }

  /** The last line, once it has ended. */
  summary(): { event: string; messages: number } {
    return JSON.parse(this.#text.trimEnd().split("\n").at(-1)!);
  }
}

test(
  "vfu trace --trap between QEMU and testpmd: pings pass, and the driver's register writes show by name",
  scene(async (set) => {
    await set.testpmd({ eal: set.avf(), app: ["--forward-mode=icmpecho"] });
    const listen = join(set.folder, "trace.sock");
    const trace = new Trace(listen, set.socket());
    try {
      while (!existsSync(listen)) {
        if (trace.child.exit !== null) throw new Error("vfu trace ended before it listened");
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      const guest = await set.boot({ name: "trace", devices: [listen] });
      await guest.nicUp(0, "10.0.0.2/24");
      expect((await ping(guest, "10.0.0.1")).received).toBeGreaterThan(0);
    } finally {
      await trace.child.end("SIGTERM", 10_000);
    }
    expect(trace.child.exit).toEqual({ code: 0, signal: null });
    expect(existsSync(listen)).toBe(false);

    const messages = trace.messages();
    expect(trace.summary()).toMatchObject({ event: "summary", messages: messages.length });
    expect(messages.filter(({ malformed }) => malformed !== null)).toEqual([]);
    expect(messages[0]).toMatchObject({ name: "VERSION", direction: "c>s", fields: { major: 0, minor: 0 } });
    const map = messages.find(({ name, fds }) => name === "DMA_MAP" && fds.length > 0);
    expect(map!.fds[0]).toMatch(/^memfd:/);

    // The admin queue's base and length, then its doorbell; after that the queues' tails, which --trap makes visible
    const written = messages
      .filter(({ name, direction }) => name === "REGION_WRITE" && direction === "c>s")
      .map(({ fields }) => fields.register);
    const order = ["VF_ATQLEN1", "VF_ATQBAL1", "VF_ATQBAH1", "VF_ATQT1", "QRX_TAIL1(0)", "QTX_TAIL1(0)"];
    for (const register of order) expect(written).toContain(register);
    expect(written.indexOf("VF_ATQBAL1")).toBeLessThan(written.indexOf("QRX_TAIL1(0)"));
    // Nothing can be mapped, so QEMU need not wait for its register writes: it posts them
    const doorbells = messages.filter(({ fields }) => fields.register === "QTX_TAIL1(0)");
    expect(new Set(doorbells.map(({ type }) => type))).toEqual(new Set(["posted"]));
  }),
);
