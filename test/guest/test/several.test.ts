// Several guests of one testpmd: two at once, forwarded between, and one after another, each killed under load.

import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { pingAll } from "../src/ping.ts";
import { scene } from "../src/scene.ts";
import type { Testpmd } from "../src/testpmd.ts";

test(
  "d. two guests on two devices of one testpmd, which forwards between them, ping each other and pass 16 MiB over TCP",
  scene(async (set) => {
    const eal = [...set.avf(0, "mac=02:00:00:00:0d:00"), ...set.avf(1, "mac=02:00:00:00:0d:01")];
    await set.testpmd({ eal, app: ["--forward-mode=io"] });
    const [one, other] = await Promise.all([
      set.boot({ name: "d0", devices: [set.socket(0)] }),
      set.boot({ name: "d1", devices: [set.socket(1)] }),
    ]);
    await Promise.all([one.nicUp(0, "10.0.0.1/24"), other.nicUp(0, "10.0.0.2/24")]);
    await pingAll(one, "10.0.0.2", { count: 20 });
    await pingAll(other, "10.0.0.1", { count: 20 });
    // TCP between them: what one guest's stack leaves to its device must arrive whole at the other's
    const sent = await one.ok("head -c 16777216 /dev/urandom > /tmp/payload; sha256sum < /tmp/payload");
    await other.ok("tail -f /dev/null | nc -l -p 5001 > /tmp/received 2>&1 &");
    await one.ok("sleep 0.5; nc 10.0.0.2 5001 < /tmp/payload");
    expect(await other.ok("until_true 50 '! pidof nc > /dev/null'; sha256sum < /tmp/received")).toBe(sent);
  }),
);

/** What testpmd holds on to that a client can make it hold: file descriptors by kind, and mappings of files. */
function holdings(testpmd: Testpmd): Record<string, number> {
  const kinds: Record<string, number> = {};
  const count = (kind: string): void => {
    kinds[kind] = (kinds[kind] ?? 0) + 1;
  };
  for (const fd of testpmd.fds()) count(`fd ${fd.replace(/\d+/g, "N")}`);
  for (const line of testpmd.maps()) if (/memfd:|\/dev\/shm/.test(line)) count(`map ${line.split(/\s+/)[5]}`);
  return kinds;
}

test(
  "e. kill -9 of QEMU under load: testpmd reports it, stays up, leaks no fd and no mapping, and serves the next QEMU",
  scene(async (set) => {
    const testpmd = await set.testpmd({ eal: set.avf(), app: ["--forward-mode=icmpecho"] });
    const idle = holdings(testpmd);
    for (const name of ["e1", "e2", "e3"]) {
      const guest = await set.boot({ name });
      await guest.nicUp(0, "10.0.0.2/24");
      await pingAll(guest, "10.0.0.1");
      if (name === "e3") break;
      await guest.ok("for i in 1 2 3; do ping -A -q -s 1400 10.0.0.1 > /dev/null 2>&1 & done; sleep 1");
      guest.kill("SIGKILL");
      await testpmd.expect(/client[^\n]*(left|gone|closed|disconnect)/i);
      for (let tries = 0; tries < 50 && JSON.stringify(holdings(testpmd)) !== JSON.stringify(idle); tries++)
        await sleep(100);
      expect(holdings(testpmd)).toEqual(idle);
      await guest.destroy();
    }
    expect(testpmd.running).toBe(true);
  }),
);
