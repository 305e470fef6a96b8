// A PCI device that throws dice, for QEMU or any other vfio-user client: `node dice.js /tmp/dice.sock`. BAR0 holds three
// 32-bit registers: FACES, THROW (write to it) and RESULT; every throw raises MSI-X vector 0.
import { randomInt } from "node:crypto";
import { pciDevice, registers, serve } from "@emudev/vfio-user";

const bar0 = registers({
  FACES: { offset: 0x0, reset: 6, write: (faces) => Math.max(faces, 1) },
  THROW: { offset: 0x4, write: throwDice },
  RESULT: { offset: 0x8, readOnly: true },
});

const dice = pciDevice({
  vendor: 0x1234,
  device: 0xd1ce,
  class: 0xff0000,
  bars: { 0: { size: 4096, registers: bar0 } },
  interrupts: { msix: 1 },
});

function throwDice(): undefined {
  bar0.set("RESULT", 1 + randomInt(bar0.get("FACES")));
  dice.irq.raise(0);
}

await serve("dice", dice);
