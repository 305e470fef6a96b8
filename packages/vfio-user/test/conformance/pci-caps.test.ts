// libvfio-user test_pci_caps and test_pci_status: capabilities as a client finds, reads and writes them. Where they differ:
// accesses act on bytes, as on a bus, so a part of PMCSR can be written; libvfio-user wants whole registers (EINVAL).

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { PciConfig } from "../../src/index.ts";
import { concat, fields } from "../support.ts";
import { COMMAND, Rig } from "./support.ts";

const [EPERM, EINVAL, ENOTSUP] = [1, 22, 95];
const [PM, CONSTANT, CALLBACK, THIRD, FOURTH, EXPRESS] = [0x40, 0x48, 0x50, 0x80, 0x90, 0xa0];
const hello = (): Uint8Array => new TextEncoder().encode("Hello world.");

let rig: Rig;
let written: string[];
beforeEach(async () => {
  written = [];
  rig = await Rig.start((device) => {
    device.config = new PciConfig({
      vendorId: 0x494f,
      deviceId: 0x0dc8,
      classCode: 0,
      bytes: 256,
      capabilities: [
        { kind: "pm" },
        { kind: "vendor", data: new TextEncoder().encode("abc") },
        {
          kind: "vendor",
          data: hello(),
          writable: true,
          onWrite: (data) => written.push(new TextDecoder().decode(data)),
        },
        { kind: "vendor", at: THIRD, data: hello() },
        { kind: "vendor", at: FOURTH, data: hello() },
        { kind: "pcie", at: EXPRESS, flr: true },
        { kind: "msi", vectors: 4 },
      ],
      onFlr: () => device.reset("flr"),
    });
    device.regions = [device.config.region];
    device.reset = (reason) => {
      device.config.reset();
      device.calls.push(`reset ${reason}`);
    };
  });
});
afterEach(() => rig.end());

const head = (offset: number, count: number): Uint8Array => fields(BigInt(offset), 7, count);
const write = (offset: number, data: Uint8Array): Promise<number[]> =>
  rig.answered(COMMAND.REGION_WRITE, concat(head(offset, data.length), data), head(offset, data.length));
const refused = (offset: number, data: number[], errno: number): Promise<void> =>
  rig.refused(COMMAND.REGION_WRITE, concat(head(offset, data.length), Uint8Array.from(data)), errno);
const reads = (offset: number, data: Uint8Array): Promise<number[]> =>
  rig.answered(COMMAND.REGION_READ, head(offset, data.length), concat(head(offset, data.length), data));

test("test_add_caps, test_find_caps: the chain in the order of declaration, 4-byte aligned", async () => {
  await reads(0x06, Uint8Array.of(0x10, 0)); // test_pci_status: capabilities list, nothing else
  await reads(0x34, Uint8Array.of(PM));
  await reads(PM, Uint8Array.of(1, CONSTANT));
  await reads(CONSTANT, Uint8Array.of(9, CALLBACK, 6));
  await reads(CALLBACK, Uint8Array.of(9, THIRD, 15));
  await reads(THIRD, Uint8Array.of(9, FOURTH, 15));
  await reads(FOURTH, Uint8Array.of(9, EXPRESS, 15));
  await reads(EXPRESS, Uint8Array.of(0x10, 0x60));
  await reads(0x60, Uint8Array.of(5, 0, 0x84, 0));
});

test("test_pci_cap_write_hdr: EPERM", () => refused(PM, [1], EPERM));

test("test_pci_cap_readonly: EPERM, and the data stays", async () => {
  await refused(CONSTANT + 2, [1], EPERM);
  await refused(CONSTANT + 3, [1, 2, 3], EPERM);
  await reads(CONSTANT + 3, new TextEncoder().encode("abc"));
});

test("test_pci_cap_callback: data that the driver may write, and the device is told", async () => {
  await reads(CALLBACK + 3, hello());
  await write(CALLBACK + 3, new TextEncoder().encode("Bye world."));
  await reads(CALLBACK + 3, new TextEncoder().encode("Bye world.d."));
  expect(written).toEqual(["Bye world.d."]);
  await refused(CALLBACK, [9, 0, 15], EPERM);
});

describe("test_pci_cap_write_pmcs", () => {
  test("capabilities, bridge extensions and data are ENOTSUP", async () => {
    await refused(PM + 2, [1, 2], ENOTSUP);
    await refused(PM + 6, [1], ENOTSUP);
    await refused(PM + 7, [1], ENOTSUP);
  });

  test("control and status take their writable bits; a half of them, too (libvfio-user: EINVAL)", async () => {
    await write(PM + 4, Uint8Array.of(0x03, 0x01));
    await reads(PM + 4, Uint8Array.of(0x0b, 0x01));
    await write(PM + 4, Uint8Array.of(0x00));
    await reads(PM + 4, Uint8Array.of(0x08, 0x01));
  });
});

test("test_pci_cap_write_px: the bit of Device Control resets the function, and the client's end does", async () => {
  await write(EXPRESS + 8, Uint8Array.of(0x00, 0x80));
  expect(rig.device.take()).toContain("reset flr");
  await reads(EXPRESS + 8, Uint8Array.of(0, 0));
  await rig.end();
  expect(rig.device.take()).toContain("reset disconnect");
  rig = await Rig.start();
});

describe("MSI control (handle_msi_write in libvfio-user's lib/pci_caps.c)", () => {
  test("more vectors than there are: EINVAL, and nothing changes", async () => {
    await refused(0x62, [0x31, 0], EINVAL);
    await reads(0x62, Uint8Array.of(0x84, 0));
  });

  test("as many as there are, or fewer; other bits keep their value", async () => {
    await write(0x62, Uint8Array.of(0x21, 0xff));
    await reads(0x62, Uint8Array.of(0xa5, 0));
    await write(0x62, Uint8Array.of(0x10));
    await reads(0x62, Uint8Array.of(0x94, 0));
    await write(0x64, Uint8Array.of(0xff, 0xff, 0xe0, 0xfe, 1, 0, 0, 0, 0x41, 0x40));
    await reads(0x64, Uint8Array.of(0xfc, 0xff, 0xe0, 0xfe, 1, 0, 0, 0, 0x41, 0x40));
  });
});

describe("test_pci_cap_write_msix (handle_msix_write)", () => {
  beforeEach(async () => {
    await rig.end();
    rig = await Rig.start(); // with 5 vectors at 0x70
  });

  test("a write of control, and of two bytes from control + 1, as some QEMU do", async () => {
    await write(0x72, Uint8Array.of(0xff, 0xff));
    await reads(0x72, Uint8Array.of(4, 0xc0));
    await write(0x73, Uint8Array.of(0x80, 0xff));
    await reads(0x72, Uint8Array.of(4, 0x80, 3, 0));
    await write(0x72, Uint8Array.of(0, 0));
    await reads(0x72, Uint8Array.of(4, 0));
  });

  test("the header is EPERM; a write of four bytes with control behind it is carried out", async () => {
    await refused(0x70, [0x11, 0], EPERM);
    await write(0x70, Uint8Array.of(0, 0, 0, 0x80));
    await reads(0x70, Uint8Array.of(0x11, 0xa0, 4, 0x80));
  });
});
