// The PCI-IDIO-16 as its Linux driver and QEMU use it (drivers/gpio/gpio-pci-idio-16.c; hw/vfio/pci.c for INTx): the program as
// it is started, driven by our client. The guest test has the driver itself.
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { closeFd, eventfd, eventfdRead, eventfdWrite } from "@emudev/linux";
import { IRQ_FLAG, PCI_IRQ, PCI_REGION, VfioUserClient } from "@emudev/vfio-user";
import { afterEach, beforeEach, expect, test } from "vitest";

const program = new URL("../dist/gpio-pci-idio-16.js", import.meta.url).pathname;
const path = `/tmp/idio-16-${process.pid}.sock`;
const { INTX } = PCI_IRQ;
let child: ChildProcess;
let client: VfioUserClient;
let output = "";

async function start(...args: string[]): Promise<void> {
  output = "";
  child = spawn(process.execPath, [program, path, ...args], { stdio: ["pipe", "pipe", "inherit"] });
  child.stdout!.on("data", (text) => {
    output += text;
  });
  await printed("ready at");
  client = await VfioUserClient.connect(path);
}

async function printed(text: string): Promise<void> {
  while (!output.includes(text)) await new Promise((resolve) => child.stdout!.once("data", resolve));
}

const read = async (register: number): Promise<number> => (await client.regionRead(2, register, 1))[0]!;
const write = (register: number, value: number): Promise<void> => client.regionWrite(2, register, Uint8Array.of(value));
const status = async (): Promise<number> => (await client.regionRead(PCI_REGION.CONFIG, 6, 2))[0]! & 8;
const command = (value: number): Promise<void> =>
  client.regionWrite(PCI_REGION.CONFIG, 4, Uint8Array.of(value & 0xff, value >> 8));

beforeEach(() => start("--loop-back"));
afterEach(async () => {
  client.close();
  const exited = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  expect(await exited).toBe(0);
  rmSync(path, { force: true });
});

test("its source is a device in at most 60 lines", () => {
  const source = readFileSync(new URL("../src/gpio-pci-idio-16.ts", import.meta.url), "utf8");
  expect(source.trimEnd().split("\n").length).toBeLessThanOrEqual(60);
});

test("identity, I/O ports in BAR2, INTA#; conventional PCI", async () => {
  const config = Buffer.from(await client.regionRead(PCI_REGION.CONFIG, 0, 256));
  expect([config.readUInt16LE(0), config.readUInt16LE(2), config[0x3d]]).toEqual([0x494f, 0x0dc8, 1]);
  expect(config.readUInt32LE(0x18)).toBe(1);
  await client.regionWrite(PCI_REGION.CONFIG, 0x18, Uint8Array.of(255, 255, 255, 255));
  expect(Buffer.from(await client.regionRead(PCI_REGION.CONFIG, 0x18, 4)).readUInt32LE()).toBe(0xfffffff9);
  expect(await client.getIrqInfo(INTX)).toEqual({
    flags: IRQ_FLAG.EVENTFD | IRQ_FLAG.MASKABLE | IRQ_FLAG.AUTOMASKED,
    count: 1,
  });
});

test("outputs are read back and printed; wired to the inputs they raise INTx, which the driver clears", async () => {
  const fd = eventfd();
  await client.setIrqs(INTX, 0, [fd]);
  await write(4, 0x80); // the interrupt is off: the input follows, nothing fires
  await printed("outputs 8000");
  expect([await read(4), await read(5), await read(6), eventfdRead(fd)]).toEqual([0x80, 0x80, 0, 0]);
  await read(2);
  await write(0, 0x01);
  expect([eventfdRead(fd), await status(), await read(6)]).toEqual([1, 8, 5]);
  await write(4, 0); // another edge while the line is asserted and masked
  expect([eventfdRead(fd), await read(6)]).toEqual([0, 7]);
  // QEMU unmasks at the next access of the guest; the line is still asserted, so it fires again
  await client.maskIrqs(INTX, 0, 1, false);
  expect(eventfdRead(fd)).toBe(1);
  await write(1, 0);
  expect([await status(), await read(6)]).toEqual([0, 0]);
  await client.maskIrqs(INTX, 0, 1, false);
  expect(eventfdRead(fd)).toBe(0);
  await write(2, 0);
  await write(0, 0);
  expect([eventfdRead(fd), await read(6)]).toEqual([0, 0]);
  closeFd(fd);
});

test("MASK holds an interrupt back until UNMASK; INTX_DISABLE until the driver allows it", async () => {
  const fd = eventfd();
  await client.setIrqs(INTX, 0, [fd]);
  await read(2);
  await client.maskIrqs(INTX, 0, 1, true);
  await write(0, 1);
  expect([eventfdRead(fd), await status()]).toEqual([0, 8]);
  await client.maskIrqs(INTX, 0, 1, false);
  expect(eventfdRead(fd)).toBe(1);
  await write(1, 0);
  await client.maskIrqs(INTX, 0, 1, false);
  await command(0x400);
  await write(0, 2);
  expect([eventfdRead(fd), await status()]).toEqual([0, 8]);
  await command(0x001);
  expect(eventfdRead(fd)).toBe(1);
  closeFd(fd);
});

test("an eventfd of UNMASK re-arms the line, as KVM does for its guests; one of MASK tells that it fired", async () => {
  const [fire, resample, masked] = [eventfd(), eventfd(), eventfd()];
  await client.setIrqs(INTX, 0, [fire]);
  await client.setIrqMaskFds(INTX, 0, [resample], false);
  await client.setIrqMaskFds(INTX, 0, [masked], true);
  await read(2);
  await write(0, 1);
  expect([eventfdRead(fire), eventfdRead(masked)]).toEqual([1, 1]);
  for (let round = 0; round < 3; round++) {
    eventfdWrite(resample);
    // level-triggered: asserted still, so it fires again
    while (eventfdRead(fire) === 0) await read(6);
  }
  await read(6); // the device writes it right after the other
  expect(eventfdRead(masked)).toBe(3);
  await write(1, 0);
  eventfdWrite(resample);
  await read(6);
  await write(0, 0);
  while (eventfdRead(fire) === 0) await read(6);
  await client.disableIrqs(INTX);
  for (const fd of [fire, resample, masked]) closeFd(fd);
});

test("inputs come from stdin, a hexadecimal level a line", async () => {
  client.close();
  child.kill("SIGTERM");
  await new Promise((resolve) => child.once("exit", resolve));
  await start();
  const fd = eventfd();
  await client.setIrqs(INTX, 0, [fd]);
  await read(2);
  child.stdin!.write("nonsense\n12345\n81");
  child.stdin!.write("80\n");
  while ((await read(5)) === 0) await read(1);
  expect([await read(1), await read(5), await read(6), eventfdRead(fd)]).toEqual([0x80, 0x81, 7, 1]);
  await write(4, 0xff);
  expect(await read(5)).toBe(0x81);
  closeFd(fd);
});

test("it serves without a terminal as well: standard input from /dev/null", async () => {
  const other = spawn(process.execPath, [program, `${path}.null`], { stdio: ["ignore", "pipe", "inherit"] });
  await new Promise((resolve) => other.stdout!.once("data", resolve));
  const card = await VfioUserClient.connect(`${path}.null`);
  expect((await card.regionRead(2, 0, 1))[0]).toBe(0);
  card.close();
  const exited = new Promise((resolve) => other.once("exit", resolve));
  other.kill("SIGTERM");
  expect(await exited).toBe(0);
});
