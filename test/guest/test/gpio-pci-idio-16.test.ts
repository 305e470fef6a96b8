// apps/devices' gpio-pci-idio-16 under Linux's own driver of that name, of Debian's kernel package: 32 lines, outputs that the
// device prints, inputs that the device is told, and INTx, which a change of an input raises, seen by gpiomon and counted by
// the kernel.
import { expect, test } from "vitest";
import { pciAddress } from "../src/qemu.ts";
import { scene } from "../src/scene.ts";

test(
  "gpio-pci-idio-16: Linux's driver binds, sets outputs, reads inputs, is interrupted by them",
  scene(
    async (set) => {
      const card = await set.device("gpio-pci-idio-16.js");
      const guest = await set.boot({ name: "gpio" });
      const device = `/sys/bus/pci/devices/${pciAddress(0)}`;
      expect(await guest.ok(`readlink ${device}/driver`)).toMatch(/\/pci-idio-16$/);
      expect(await guest.ok("/tools/gpiodetect")).toMatch(/^gpiochip0 \[.*\] \(32 lines\)$/);

      await guest.ok("/tools/gpioset -t0 OUT3=1 OUT15=1");
      await card.said(/outputs 8008\n/);
      await guest.ok("/tools/gpioset -t0 OUT3=0");
      await card.said(/outputs 8000\n/);
      expect(await guest.ok("/tools/gpioget --numeric --as-is OUT3 OUT15")).toBe("0 1");

      card.send("8001");
      await guest.ok('until_true 50 \'[ "$(/tools/gpioget --numeric IIN0 IIN1 IIN15)" = "1 0 1" ]\'');

      const interrupts = async (): Promise<number> => {
        const line = await guest.ok(`grep -w '${pciAddress(0)}' /proc/interrupts`);
        return Number(/:\s+(\d+)/.exec(line)?.[1]);
      };
      // All inputs are watched: the card tells which half has changed, and Linux 6.12 calls whatever handlers the eight
      // lines of that half have; one that nobody has asked for is interrupt 0 to it, and the kernel's end.
      const inputs = Array.from({ length: 16 }, (_, line) => `IIN${line}`).join(" ");
      const monitor = `/tools/gpiomon --banner --format='%E %l' ${inputs} > /tmp/seen 2>&1 & echo $! > /tmp/monitor`;
      await guest.ok(`${monitor}; until_true 100 'grep -q Monitoring /tmp/seen'`);
      const before = await interrupts();
      const steps = [
        ["8000", "falling IIN0"],
        ["8200", "rising IIN9"],
        ["8201", "rising IIN0"],
      ];
      for (const [level, event] of steps) {
        expect(await guest.ok("cat /tmp/seen")).not.toContain(event);
        card.send(level!);
        await guest.ok(`until_true 100 'grep -qx "${event}" /tmp/seen'`);
      }
      expect(await guest.ok("cat /tmp/seen")).not.toMatch(/rising IIN(1|8)$/m);
      await guest.ok("kill $(cat /tmp/monitor)");
      const after = await interrupts();
      expect(after).toBeGreaterThanOrEqual(before + 3);
      // nobody listens any more: the card is told so, and changes interrupt nobody
      card.send("0000");
      await guest.ok("until_true 50 '[ \"$(/tools/gpioget --numeric IIN0)\" = 0 ]'");
      expect(await interrupts()).toBe(after);

      await guest.ok(`echo ${pciAddress(0)} > ${device}/driver/unbind; [ -z "$(/tools/gpiodetect)" ]`);
      await guest.ok(`echo ${pciAddress(0)} > /sys/bus/pci/drivers/pci-idio-16/bind`);
      await guest.ok("/tools/gpioset -t0 OUT0=1");
      await card.said(/outputs 8001\n/);
    },
    { drivers: true },
  ),
);
