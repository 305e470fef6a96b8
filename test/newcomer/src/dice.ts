// A PCI device that throws dice, for QEMU or any other vfio-user client: `node dice.js /tmp/dice.sock`. BAR0 holds three
// 32-bit registers: FACES, THROW (write to it) and RESULT; every throw raises MSI-X vector 0.
import { randomInt } from "node:crypto";
import { IRQ_FLAG, PCI_IRQ, PCI_REGION, PciConfig, type VfioUserDevice, VfioUserServer } from "@emudev/vfio-user";

const FACES = 0x0;
const THROW = 0x4;
const RESULT = 0x8;
const BAR0_BYTES = 0x4000;

const config = new PciConfig({
  vendorId: 0x1234,
  deviceId: 0xd1ce,
  classCode: 0xff0000,
  bars: [{ index: 0, bytes: BAR0_BYTES, kind: "mem32" }],
  pcie: {},
  msix: { vectors: 1, table: { bar: 0, offset: 0x1000 }, pba: { bar: 0, offset: 0x2000 } },
});

class Dice implements VfioUserDevice {
  readonly info = { resettable: true };
  readonly regions = [config.region, { ...config.region, index: 0, size: BAR0_BYTES }];
  readonly irqs = [{ index: PCI_IRQ.MSIX, count: 1, flags: IRQ_FLAG.EVENTFD }];
  readonly server: VfioUserServer;
  readonly #bar0 = new DataView(new ArrayBuffer(BAR0_BYTES));

  constructor(path: string) {
    this.server = new VfioUserServer(path, this);
    this.reset();
  }

  reset(): void {
    config.reset();
    this.#bar0.setUint32(FACES, 6, true);
    this.#bar0.setUint32(RESULT, 0, true);
  }

  regionRead(index: number, offset: number, into: Uint8Array): void {
    if (index === PCI_REGION.CONFIG) config.read(offset, into);
    else into.set(new Uint8Array(this.#bar0.buffer, offset, into.length));
  }

  regionWrite(index: number, offset: number, data: Uint8Array): void | Promise<void> {
    if (index === PCI_REGION.CONFIG) return config.write(offset, data);
    if (data.length !== 4) return; // a register is written whole; hardware ignores the rest
    const value = new DataView(data.buffer, data.byteOffset).getUint32(0, true);
    if (offset === FACES) this.#bar0.setUint32(FACES, Math.max(value, 1), true);
    if (offset === THROW) {
      this.#bar0.setUint32(RESULT, 1 + randomInt(this.#bar0.getUint32(FACES, true)), true);
      this.server.irqTrigger(PCI_IRQ.MSIX, 0);
    }
  }
}

const dice = new Dice(process.argv[2] ?? "/tmp/dice.sock");
dice.server.start();
console.log(`dice at ${dice.server.sockAddr}`);
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => dice.server.stop());
