// README.md's own example of a device, under a real guest: Linux finds it on the PCI bus, and its registers answer there.
import { join } from "node:path";
import { expect, test } from "vitest";
import { Child } from "../src/child.ts";
import { repository } from "../src/paths.ts";
import { pciAddress } from "../src/qemu.ts";
import { scene } from "../src/scene.ts";

test(
  "the device of README.md: a guest finds it and throws its dice",
  scene(async (set) => {
    const program = join(repository, "test/newcomer/dist/dice.js");
    const dice = new Child(process.execPath, [program, set.socket()], { stdio: ["ignore", "pipe", "inherit"] });
    try {
      await new Promise((resolve) => dice.process.stdout!.once("data", resolve));
      const guest = await set.boot({ name: "dice" });
      const device = `/sys/bus/pci/devices/${pciAddress(0)}`;
      expect(await guest.ok(`cat ${device}/vendor ${device}/device`)).toBe("0x1234\n0xd1ce");
      await guest.ok(`echo 1 > ${device}/enable`);
      const bar = (await guest.ok(`head -n 1 ${device}/resource`)).split(" ")[0]!;
      expect(await guest.ok(`devmem ${bar} 32`)).toBe("0x00000006");
      await guest.ok(`devmem $((${bar} + 4)) 32 1`);
      expect(await guest.ok(`devmem $((${bar} + 8)) 32`)).toMatch(/^0x0000000[1-6]$/);
    } finally {
      await dice.end("SIGTERM", 2000);
    }
  }),
);
