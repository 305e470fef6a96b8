// libvfio-user test_pci_ext_caps: the chain of extended capabilities from 0x100, as a client finds, reads and writes it, and
// what may not be declared.

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type ExtendedCapabilitySpec, PciConfig } from "../../src/index.ts";
import { concat, fields } from "../support.ts";
import { COMMAND, Rig } from "./support.ts";

const EPERM = 1;
const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const [DSN, CONSTANT, CALLBACK, THIRD, FOURTH] = [0x100, 0x10c, 0x11c, 512, 600];
const identity = { vendorId: 0x494f, deviceId: 0x0dc8, classCode: 0 };
const serial: ExtendedCapabilitySpec = { kind: "dsn", serial: (8n << 32n) | 4n };

let rig: Rig;
let written: string[];
beforeEach(async () => {
  written = [];
  const vendor = (id: number, at?: number): ExtendedCapabilitySpec => ({
    kind: "vendor",
    id,
    data: text("Hello world."),
    writable: true,
    onWrite: (data) => written.push(`${id}: ${new TextDecoder().decode(data)}`),
    ...(at === undefined ? {} : { at }),
  });
  rig = await Rig.start((device) => {
    device.config = new PciConfig({
      ...identity,
      extended: [
        serial,
        { kind: "vendor", id: 0x1a, data: text("abcde") },
        vendor(0x1b),
        vendor(0x1c, THIRD),
        vendor(0x1d, FOURTH),
      ],
    });
    device.regions = [device.config.region];
  });
});
afterEach(() => rig.end());

const head = (offset: number, count: number): Uint8Array => fields(BigInt(offset), 7, count);
const write = (offset: number, data: Uint8Array): Promise<number[]> =>
  rig.answered(COMMAND.REGION_WRITE, concat(head(offset, data.length), data), head(offset, data.length));
const refused = (offset: number, data: Uint8Array): Promise<void> =>
  rig.refused(COMMAND.REGION_WRITE, concat(head(offset, data.length), data), EPERM);
const reads = (offset: number, data: Uint8Array): Promise<number[]> =>
  rig.answered(COMMAND.REGION_READ, head(offset, data.length), concat(head(offset, data.length), data));

describe("declarations that are refused", () => {
  test.each<[string, ExtendedCapabilitySpec[], 256 | 4096]>([
    ["test_pci_ext_cap_conventional: extended ones in 256 bytes", [serial], 256],
    ["test_pci_ext_cap_bad_pos: over the end", [serial, { ...serial, at: 4094 }], 4096],
    ["test_pci_ext_cap_bad_pos: the first one not at 0x100", [{ ...serial, at: 512 }], 4096],
    ["on top of each other", [serial, { ...serial, at: 0x108 }], 4096],
  ])("%s", (_name, extended, bytes) => {
    const wrong = expect.objectContaining({ code: "VFU_ARGUMENT", errno: 22 });
    expect(() => new PciConfig({ ...identity, extended, bytes })).toThrow(wrong);
  });
});

test("test_add_ext_caps, test_find_ext_caps: the chain in the order of declaration, version 1", async () => {
  const header = (id: number, next: number): Uint8Array => fields((id | (1 << 16) | (next << 20)) >>> 0);
  await reads(DSN, concat(header(3, CONSTANT), fields(4, 8)));
  await reads(CONSTANT, concat(header(0xb, CALLBACK), fields(0x1a | (13 << 20)), text("abcde")));
  await reads(CALLBACK, concat(header(0xb, THIRD), fields(0x1b | (20 << 20)), text("Hello world.")));
  await reads(THIRD, header(0xb, FOURTH));
  await reads(FOURTH, concat(header(0xb, 0), fields(0x1d | (20 << 20))));
});

test("test_pci_ext_cap_write_hdr: EPERM, the vendor-specific part of it too", async () => {
  await refused(DSN, Uint8Array.of(1));
  await refused(CONSTANT + 4, Uint8Array.of(1));
  await refused(CALLBACK + 4, Uint8Array.of(1));
});

test("test_pci_ext_cap_readonly: EPERM, and the data stays", async () => {
  await refused(CONSTANT + 8, Uint8Array.of(1));
  await reads(CONSTANT + 8, text("abcde"));
});

test("test_pci_ext_cap_callback, test_pci_ext_cap_write_vendor: data that the driver may write", async () => {
  await reads(CALLBACK + 8, text("Hello world."));
  await write(CALLBACK + 8, text("Bye world."));
  await reads(CALLBACK + 8, text("Bye world.d."));
  await write(FOURTH + 8, fields(1, 2));
  await reads(FOURTH + 8, concat(fields(1, 2), text("rld.")));
  expect(written).toEqual(["27: Bye world.d.", "29: \x01\0\0\0\x02\0\0\0rld."]);
});

test("test_pci_ext_cap_write_dsn: EPERM, unchanged", async () => {
  await refused(DSN + 4, fields(1, 2));
  await reads(DSN + 4, fields(4, 8));
});
