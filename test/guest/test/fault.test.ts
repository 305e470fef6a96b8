// A guest's own iavf driver on a NIC that misbehaves on command (testpmd's `fault`): it gets over each of it and answers pings again.
import { expect, test } from "vitest";
import { pingAll } from "../src/ping.ts";
import { scene } from "../src/scene.ts";

const HOST = "10.0.0.1";
const GUEST = "10.0.0.2/24";

test(
  "k. resets with and without a warning, a link that flaps, a queue that stalls, wrong descriptors, lost interrupts",
  scene(async (set) => {
    const testpmd = await set.testpmd({ eal: set.avf(), app: ["--forward-mode=icmpecho"] });
    const guest = await set.boot({ name: "k" });
    const nic = await guest.nicUp(0, GUEST);
    await pingAll(guest, HOST);

    const fault = (words: string) => testpmd.ask(`fault emu_iavf0 ${words}`, /Faults of emu_iavf0: .*\n/);
    const recovers = async (): Promise<void> => {
      await guest.ok(`sleep 0.2; wait_carrier ${nic}`);
      await pingAll(guest, HOST);
    };
    const resets = async (): Promise<number> => Number(await guest.ok("dmesg | grep -ci 'reset' || true"));

    for (const reset of ["reset 50", "surprise-reset"]) {
      const before = await resets();
      await fault(reset);
      await guest.ok("sleep 3"); // the driver looks every 2 s
      expect(await resets(), reset).toBeGreaterThan(before);
      await recovers();
    }

    const downs = `$(cat /sys/class/net/${nic}/carrier_down_count)`;
    const before = await guest.ok(`echo ${downs}`);
    await fault("flap 2 200");
    await guest.ok(`until_true 50 '[ ${downs} -ge ${Number(before) + 2} ]'`);
    await recovers();

    await fault("stall all 1000");
    await guest.ok("sleep 1");
    await recovers();

    await fault("descriptor rx0 receive-error");
    await recovers();
    await fault("descriptor rx0 empty");
    // iavf of Linux 6.1 takes an empty buffer for a lack of memory and stays at that descriptor until a reset; 6.12's goes on
    const [major, minor] = (await guest.ok("uname -r")).split(".").map(Number);
    if (major! < 6 || (major === 6 && minor! < 10)) {
      await fault("reset 50");
      await guest.ok("sleep 3");
    }
    await recovers();

    await fault("mute all 500");
    await guest.ok("sleep 0.5");
    await recovers();
    await fault("spurious all 10");
    await recovers();
  }),
);
