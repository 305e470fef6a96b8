// REGION_READ and REGION_WRITE at the edges, configuration space, and BAR sizing where the device may be changed (libvfio-user:
// test_setup_region, test_pci_caps).
import { COMMAND, PCI_REGION, REGION_FLAG } from "@emudev/vfio-user";
import { access, u32 } from "../bytes.ts";
import { type Check, Mismatch, type Severity } from "../check.ts";
import { expect, type Facts, type Probe, refused, succeeded } from "../probe.ts";

const ACCESS = "REGION_READ/REGION_WRITE; libvfio-user test_setup_region";
const CONFIG = "PCI configuration space; libvfio-user test_pci_caps";
const MORE_THAN_ANY = (1 << 20) + 4;

/** Configuration space where there is one, else the first region that can be read. */
function readable({ regions }: Facts): number {
  const can = (index: number): boolean =>
    ((regions[index]?.flags ?? 0) & REGION_FLAG.READ) > 0 && regions[index]!.size > 0;
  return can(PCI_REGION.CONFIG) ? PCI_REGION.CONFIG : regions.findIndex((_, index) => can(index));
}
const needsRegion = (facts: Facts): string | null => (readable(facts) < 0 ? "no region can be read" : null);
const needsConfig = (facts: Facts): string | null =>
  (facts.regions[PCI_REGION.CONFIG]?.size ?? 0) < 256 ? "it has no configuration space" : null;

function refuses(name: string, body: (region: number, size: number) => Uint8Array, severity: Severity = "must"): Check {
  return {
    name: `regions: ${name} is refused`,
    severity,
    reference: ACCESS,
    skip: needsRegion,
    run: async (probe) => {
      const index = readable(probe.facts);
      const payload = body(index, probe.facts.regions[index]!.size);
      refused(await probe.exchange(await probe.connect(), COMMAND.REGION_READ, payload));
    },
  };
}

type Peer = Awaited<ReturnType<Probe["connect"]>>;

async function config(probe: Probe, peer: Peer, offset: number, bytes: number): Promise<DataView> {
  const answer = await probe.exchange(peer, COMMAND.REGION_READ, access(PCI_REGION.CONFIG, offset, bytes));
  const { body } = succeeded(answer);
  if (body.byteLength !== 16 + bytes) throw new Mismatch(`${16 + bytes} bytes`, `${body.byteLength} bytes`);
  return new DataView(body.buffer, body.byteOffset + 16, bytes);
}

export const REGIONS: readonly Check[] = [
  refuses("a read without payload", () => new Uint8Array(0)),
  refuses("a read cut short", (region) => access(region, 0, 4).subarray(0, 12)),
  refuses("a read of a region that does not exist", () => access(0x7fffffff, 0, 4)),
  refuses("a read beyond the end", (region, size) => access(region, size, 4)),
  refuses("a read over the end", (region, size) => access(region, size - 2, 4)),
  refuses("a read whose end passes 64 bits", (region) => access(region, -2n, 4)),
  refuses("a read of more than max_data_xfer_size", (region) => access(region, 0, MORE_THAN_ANY)),
  {
    name: "regions: a read of 0 bytes is taken",
    severity: "reference",
    reference: ACCESS,
    skip: needsRegion,
    run: async (probe) => {
      // libvfio-user answers with the header alone.
      const { body } = await probe.ask(COMMAND.REGION_READ, access(readable(probe.facts), 0, 0));
      expect(body.byteLength === 16 || body.byteLength === 0, "16 bytes, or none", `${body.byteLength} bytes`);
    },
  },
  {
    name: "regions: the reply to a read echoes offset, region and count, and has the data",
    severity: "must",
    reference: ACCESS,
    skip: needsRegion,
    run: async (probe) => {
      const region = readable(probe.facts);
      const { body } = await probe.ask(COMMAND.REGION_READ, access(region, 4, 4));
      expect(body.byteLength === 20, "20 bytes", `${body.byteLength} bytes`);
      expect(body.getBigUint64(0, true) === 4n, "offset 4", `${body.getBigUint64(0, true)}`);
      expect(body.getUint32(8, true) === region, `region ${region}`, body.getUint32(8, true));
      expect(body.getUint32(12, true) === 4, "count 4", body.getUint32(12, true));
    },
  },
  {
    name: "regions: a write whose count and data disagree is refused",
    severity: "must",
    reference: ACCESS,
    skip: needsConfig,
    run: async (probe) => {
      // The interrupt line, which belongs to the driver.
      const payload = access(PCI_REGION.CONFIG, 0x3c, 4, new Uint8Array(1));
      refused(await probe.exchange(await probe.connect(), COMMAND.REGION_WRITE, payload));
    },
  },
  {
    name: "config: vendor and device id are there, and reading twice gives the same",
    severity: "must",
    reference: CONFIG,
    skip: needsConfig,
    run: async (probe) => {
      const peer = await probe.connect();
      const first = await config(probe, peer, 0, 4);
      const id = first.getUint32(0, true);
      expect(id !== 0 && id !== 0xffffffff, "ids", id);
      expect((await config(probe, peer, 0, 4)).getUint32(0, true) === id, "the same ids again", "others");
    },
  },
  {
    name: "config: bytes, words and a whole read agree",
    severity: "must",
    reference: CONFIG,
    skip: needsConfig,
    run: async (probe) => {
      const peer = await probe.connect();
      const whole = await config(probe, peer, 0, 64);
      for (const at of [0, 2, 8, 0x0e, 0x2c]) {
        const byte = (await config(probe, peer, at, 1)).getUint8(0);
        expect(byte === whole.getUint8(at), `byte ${at} as in the whole`, byte);
      }
      const word = (await config(probe, peer, 0x2c, 4)).getUint32(0, true);
      expect(word === whole.getUint32(0x2c, true), "the word at 0x2c as in the whole", word);
    },
  },
  {
    name: "config: the capability list ends, lies behind the header, and is aligned",
    severity: "must",
    reference: CONFIG,
    skip: needsConfig,
    run: async (probe) => {
      const peer = await probe.connect();
      const space = await config(probe, peer, 0, 256);
      if ((space.getUint16(6, true) & 0x10) === 0) return;
      const seen = new Set<number>();
      for (let at = space.getUint8(0x34) & 0xfc; at !== 0; at = space.getUint8(at + 1) & 0xfc) {
        expect(at >= 0x40, "a capability from 0x40 up", at);
        expect(!seen.has(at), "a list without a circle", at);
        seen.add(at);
      }
    },
  },
  {
    name: "config: ids are read-only",
    severity: "must",
    reference: CONFIG,
    destructive: true,
    skip: needsConfig,
    run: async (probe) => {
      const peer = await probe.connect();
      const before = (await config(probe, peer, 0, 4)).getUint32(0, true);
      await probe.exchange(peer, COMMAND.REGION_WRITE, access(PCI_REGION.CONFIG, 0, 4, u32(0x12345678)));
      const after = (await config(probe, peer, 0, 4)).getUint32(0, true);
      expect(after === before, "the same ids", after);
    },
  },
  {
    name: "config: all ones in a BAR read back as its size",
    severity: "must",
    reference: `${CONFIG}: BAR sizing`,
    destructive: true,
    skip: needsConfig,
    run: async (probe) => {
      const peer = await probe.connect();
      const at = async (offset: number): Promise<number> => {
        const answer = succeeded(await probe.exchange(peer, COMMAND.REGION_READ, access(PCI_REGION.CONFIG, offset, 4)));
        return answer.body.getUint32(16, true);
      };
      for (let bar = 0; bar < 6; bar++) {
        const offset = 0x10 + 4 * bar;
        const before = await at(offset);
        const size = probe.facts.regions[bar]?.size ?? 0;
        const wide = (before & 7) === 4;
        succeeded(
          await probe.exchange(peer, COMMAND.REGION_WRITE, access(PCI_REGION.CONFIG, offset, 4, u32(0xffffffff))),
        );
        const mask = (await at(offset)) & (before & 1 ? 0xfffffffc : 0xfffffff0);
        succeeded(await probe.exchange(peer, COMMAND.REGION_WRITE, access(PCI_REGION.CONFIG, offset, 4, u32(before))));
        if (size > 0 && size <= 2 ** 31)
          expect(-mask >>> 0 === size, `BAR${bar} sized as its region, ${size}`, -mask >>> 0);
        if (size === 0) expect(mask === 0, `BAR${bar}, which is not there, reads 0`, mask >>> 0);
        if (wide) bar++;
      }
    },
  },
];
