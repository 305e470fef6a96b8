// DEVICE_GET_INFO, GET_REGION_INFO, GET_IRQ_INFO: their sizes, argsz, bounds, and whether what they say hangs together
// (libvfio-user: test_device_get_info, test_device_get_region_info, test_device_get_irq_info).
import { COMMAND, REGION_FLAG } from "@emudev/vfio-user";
import { getInfo, getIrqInfo, getRegionInfo } from "../bytes.ts";
import type { Check, Severity } from "../check.ts";
import { expect, type Facts, type Probe, refused } from "../probe.ts";

const INFO = "DEVICE_GET_INFO; libvfio-user test_device_get_info";
const REGION = "DEVICE_GET_REGION_INFO; libvfio-user test_device_get_region_info";
const IRQ = "DEVICE_GET_IRQ_INFO; libvfio-user test_device_get_irq_info";
const FIXED = 32;

function refuses(
  name: string,
  reference: string,
  command: number,
  body: (facts: Facts) => Uint8Array,
  severity: Severity = "reference",
): Check {
  const run = async (probe: Probe) => refused(await probe.exchange(await probe.connect(), command, body(probe.facts)));
  return { name: `info: ${name} is refused`, severity, reference, run };
}

/** A region whose info is longer than its fixed part. */
const withCaps = ({ regions }: Facts): number => regions.findIndex(({ flags, argsz }) => flags & 8 && argsz > FIXED);

export const INFOS: readonly Check[] = [
  refuses("GET_INFO without its payload", INFO, COMMAND.DEVICE_GET_INFO, () => new Uint8Array(0), "must"),
  refuses("GET_INFO cut short", INFO, COMMAND.DEVICE_GET_INFO, () => getInfo().subarray(0, 12)),
  refuses("GET_INFO with argsz 15", INFO, COMMAND.DEVICE_GET_INFO, () => getInfo(15)),
  {
    name: "info: GET_INFO with a larger argsz is answered with its own size",
    severity: "must",
    reference: INFO,
    run: async (probe) => {
      const { body } = await probe.ask(COMMAND.DEVICE_GET_INFO, getInfo(64));
      expect(body.byteLength === 16, "16 bytes", body.byteLength);
      expect(body.getUint32(0, true) === 16, "argsz 16", body.getUint32(0, true));
    },
  },
  {
    name: "info: a PCI device has 9 regions and 5 interrupt indexes or more",
    severity: "must",
    reference: "DEVICE_GET_INFO: VFIO PCI indexes",
    skip: ({ flags }) => (flags & 2 ? null : "it is no PCI device"),
    run: async ({ facts }) => {
      expect(facts.regions.length >= 9, "9 regions or more", facts.regions.length);
      expect(facts.irqs.length >= 5, "5 interrupt indexes or more", facts.irqs.length);
    },
  },
  refuses("GET_REGION_INFO cut short", REGION, COMMAND.DEVICE_GET_REGION_INFO, () => getRegionInfo(0).subarray(0, 24)),
  refuses("GET_REGION_INFO with argsz 31", REGION, COMMAND.DEVICE_GET_REGION_INFO, () => getRegionInfo(0, 31)),
  refuses(
    "GET_REGION_INFO of a region that does not exist",
    REGION,
    COMMAND.DEVICE_GET_REGION_INFO,
    ({ regions }) => getRegionInfo(regions.length),
    "must",
  ),
  refuses(
    "GET_REGION_INFO of region 2^32-1",
    REGION,
    COMMAND.DEVICE_GET_REGION_INFO,
    () => getRegionInfo(0xffffffff),
    "must",
  ),
  {
    name: "info: region infos hang together: index, size, capabilities within the reply",
    severity: "must",
    reference: REGION,
    run: async (probe) => {
      const peer = await probe.connect();
      for (const [index] of probe.facts.regions.entries()) await regionIsSound(probe, peer, index);
    },
  },
  {
    name: "info: where the capabilities do not fit, the fixed part tells the size that they need",
    severity: "must",
    reference: REGION,
    skip: (facts) => (withCaps(facts) < 0 ? "no region has capabilities" : null),
    run: async (probe) => {
      const index = withCaps(probe.facts);
      const { body, fds } = await probe.ask(COMMAND.DEVICE_GET_REGION_INFO, getRegionInfo(index, FIXED));
      const needed = probe.facts.regions[index]?.argsz;
      expect(body.byteLength === FIXED, `${FIXED} bytes`, body.byteLength);
      expect(body.getUint32(0, true) === needed, `argsz ${needed}`, body.getUint32(0, true));
      expect(body.getUint32(12, true) === 0, "cap_offset 0", body.getUint32(12, true));
      expect(fds.length === 0, "no fd", `${fds.length} fds`);
    },
  },
  {
    name: "info: a region that may be mapped comes with one fd",
    severity: "reference",
    reference: `${REGION}; one fd a region, whatever the number of areas`,
    skip: ({ regions }) => (regions.some(({ flags }) => flags & REGION_FLAG.MMAP) ? null : "no region may be mapped"),
    run: async ({ facts }) => {
      for (const [index, { flags, fds }] of facts.regions.entries()) {
        const wanted = flags & REGION_FLAG.MMAP ? 1 : 0;
        expect(fds === wanted, `${wanted} fds with region ${index}`, `${fds} fds`);
      }
    },
  },
  refuses("GET_IRQ_INFO cut short", IRQ, COMMAND.DEVICE_GET_IRQ_INFO, () => getIrqInfo(0).subarray(0, 8)),
  refuses("GET_IRQ_INFO with argsz 15", IRQ, COMMAND.DEVICE_GET_IRQ_INFO, () => getIrqInfo(0, 15)),
  refuses(
    "GET_IRQ_INFO of an index that does not exist",
    IRQ,
    COMMAND.DEVICE_GET_IRQ_INFO,
    ({ irqs }) => getIrqInfo(irqs.length),
    "must",
  ),
  {
    name: "info: GET_IRQ_INFO with a larger argsz is answered with its own size and index",
    severity: "must",
    reference: IRQ,
    skip: ({ irqs }) => (irqs.length > 0 ? null : "it has no interrupts"),
    run: async (probe) => {
      const index = probe.facts.irqs.length - 1;
      const { body } = await probe.ask(COMMAND.DEVICE_GET_IRQ_INFO, getIrqInfo(index, 64));
      expect(body.byteLength === 16, "16 bytes", body.byteLength);
      expect(body.getUint32(8, true) === index, `index ${index}`, body.getUint32(8, true));
    },
  },
];

async function regionIsSound(probe: Probe, peer: Awaited<ReturnType<Probe["connect"]>>, index: number): Promise<void> {
  const answer = await probe.exchange(peer, COMMAND.DEVICE_GET_REGION_INFO, getRegionInfo(index));
  expect(answer.kind === "reply" && answer.errno === 0, `the info of region ${index}`, answer);
  if (answer.kind !== "reply") return;
  const { body } = answer;
  const [argsz, flags, cap] = [body.getUint32(0, true), body.getUint32(4, true), body.getUint32(12, true)];
  const size = body.getBigUint64(16, true);
  expect(body.getUint32(8, true) === index, `index ${index}`, body.getUint32(8, true));
  expect(argsz === body.byteLength, `argsz ${body.byteLength}, the size of the reply`, argsz);
  if ((flags & REGION_FLAG.CAPS) === 0) return;
  const seen = new Set<number>();
  for (let at = cap; at !== 0; at = body.getUint32(at + 4, true)) {
    expect(at >= FIXED && at + 8 <= body.byteLength, `region ${index}: a capability within the reply`, at);
    expect(!seen.has(at), `region ${index}: capabilities without a circle`, at);
    seen.add(at);
    if (body.getUint16(at, true) !== 1) continue;
    expect(at + 16 <= body.byteLength, `region ${index}: sparse areas within the reply`, at);
    const count = body.getUint32(at + 8, true);
    expect(
      at + 16 + 16 * count <= body.byteLength,
      `region ${index}: ${count} areas within the reply`,
      body.byteLength,
    );
    for (let area = 0; area < count; area++) {
      const offset = body.getBigUint64(at + 16 + 16 * area, true);
      const bytes = body.getBigUint64(at + 24 + 16 * area, true);
      const text = `${offset}+${bytes} of ${size}`;
      expect(bytes > 0n && offset + bytes <= size, `region ${index}: area ${area} within the region`, text);
    }
  }
}
