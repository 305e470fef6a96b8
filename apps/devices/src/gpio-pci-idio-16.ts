// An ACCES PCI-IDIO-16, for which Linux's gpio-pci-idio-16 makes 32 GPIO lines: 16 outputs and 16 isolated inputs, whose changes
// raise INTx. `node gpio-pci-idio-16.js /tmp/idio.sock` reads the inputs' level from stdin (a hexadecimal number a line) and
// prints that of the outputs; with --loop-back, output n is wired to input n.
import { pciDevice, serve } from "@emudev/vfio-user";

const STATUS_PENDING = 4;
const isLoopBack = process.argv.includes("--loop-back");
let [outputs, inputs, status, isEnabled] = [0, 0, 0, false];

const card = pciDevice({
  vendor: 0x494f,
  device: 0x0dc8,
  class: 0xff0000,
  conventional: true,
  interrupts: { intx: true },
  bars: { 2: { size: 8, kind: "io", access: 1, read, write } },
  reset() {
    [outputs, status, isEnabled] = [0, 0, false];
    if (isLoopBack) inputs = 0;
  },
});

function read(register: number): number {
  if (register === 2) isEnabled = true; // reading enables, writing disables
  return [outputs & 0xff, inputs & 0xff, 0, 0, outputs >> 8, inputs >> 8, status, 0][register] ?? 0;
}

function write(register: number, value: number): void {
  if (register === 0) setOutputs((outputs & 0xff00) | value);
  if (register === 4) setOutputs((outputs & 0xff) | (value << 8));
  if (register === 2) isEnabled = false;
  if (register !== 1 && register !== 2) return;
  status = 0;
  card.irq.deassert();
}

function setOutputs(value: number): void {
  if (value !== outputs) console.log(`outputs ${value.toString(16).padStart(4, "0")}`);
  outputs = value;
  if (isLoopBack) setInputs(value);
}

function setInputs(value: number): void {
  const changed = inputs ^ value;
  inputs = value;
  if (!isEnabled || changed === 0) return;
  status |= STATUS_PENDING | (changed & 0xff ? 1 : 0) | (changed >> 8 ? 2 : 0);
  card.irq.assert();
}

let line = "";
process.stdin.setEncoding("latin1").on("data", (text: string) => {
  const lines = (line + text).split("\n");
  line = lines.pop() ?? "";
  for (const each of lines) if (/^[0-9a-f]{1,4}$/i.test(each.trim())) setInputs(Number.parseInt(each, 16));
});
// a file or /dev/null, which ends by itself, has no unref
if ((await serve("gpio-pci-idio-16", card)) && "unref" in process.stdin) process.stdin.unref();
