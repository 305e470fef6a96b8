// DMA_MAP and DMA_UNMAP: sizes, flags, exactness, with an fd and without (libvfio-user: test_dma_map, test_dma_unmap).
import { memfdCreate } from "@emudev/linux";
import { COMMAND, ERRNO } from "@emudev/vfio-user";
import { dmaMap, dmaUnmap, u8 } from "../bytes.ts";
import type { Check, Severity } from "../check.ts";
import { expect, type Probe, refused, succeeded } from "../probe.ts";

const MAP = "DMA_MAP; libvfio-user test_dma_map";
const UNMAP = "DMA_UNMAP; libvfio-user test_dma_unmap";
const PAGE = 4096;
const UNMAP_ALL = 2;
const MANY = 64;

function refuses(
  name: string,
  reference: string,
  command: number,
  body: Uint8Array,
  severity: Severity = "reference",
): Check {
  const run = async (probe: Probe) => refused(await probe.exchange(await probe.connect(), command, body));
  return { name: `dma: ${name} is refused`, severity, reference, run };
}

export const DMA: readonly Check[] = [
  refuses("DMA_MAP without payload", MAP, COMMAND.DMA_MAP, u8(), "must"),
  refuses("DMA_MAP cut short", MAP, COMMAND.DMA_MAP, dmaMap(0, PAGE).subarray(0, 24), "must"),
  refuses("DMA_MAP with argsz 31", MAP, COMMAND.DMA_MAP, dmaMap(0, PAGE, 3, 31)),
  refuses("DMA_MAP with flags that nobody knows", MAP, COMMAND.DMA_MAP, dmaMap(0, PAGE, 0x103)),
  refuses("DMA_MAP of a range that passes the end of 64 bits", MAP, COMMAND.DMA_MAP, dmaMap(-PAGE, 2 * PAGE), "must"),
  refuses("DMA_UNMAP without payload", UNMAP, COMMAND.DMA_UNMAP, u8(), "must"),
  refuses("DMA_UNMAP cut short", UNMAP, COMMAND.DMA_UNMAP, dmaUnmap(0, PAGE).subarray(0, 16), "must"),
  refuses("DMA_UNMAP with argsz 0", UNMAP, COMMAND.DMA_UNMAP, dmaUnmap(0, PAGE, 0, 0)),
  refuses("DMA_UNMAP with flags that nobody knows", UNMAP, COMMAND.DMA_UNMAP, dmaUnmap(0, PAGE, 0x100)),
  refuses("UNMAP_ALL with an address", UNMAP, COMMAND.DMA_UNMAP, dmaUnmap(PAGE, 0, UNMAP_ALL)),
  refuses("UNMAP_ALL with a size", UNMAP, COMMAND.DMA_UNMAP, dmaUnmap(0, PAGE, UNMAP_ALL)),
  refuses("UNMAP_ALL with the dirty bitmap", UNMAP, COMMAND.DMA_UNMAP, dmaUnmap(0, 0, UNMAP_ALL | 1)),
  {
    name: "dma: a region without an fd is mapped and unmapped",
    severity: "must",
    reference: MAP,
    run: async (probe) => {
      const peer = await probe.connect();
      const mapped = succeeded(await probe.exchange(peer, COMMAND.DMA_MAP, dmaMap(0x100000, PAGE)));
      expect(mapped.body.byteLength === 0, "a reply without payload", `${mapped.body.byteLength} bytes`);
      const { body } = succeeded(await probe.exchange(peer, COMMAND.DMA_UNMAP, dmaUnmap(0x100000, PAGE)));
      expect(body.byteLength === 24, "the 24 bytes of the request", `${body.byteLength} bytes`);
      expect(body.getBigUint64(8, true) === 0x100000n, "its address", `${body.getBigUint64(8, true)}`);
      expect(body.getBigUint64(16, true) === BigInt(PAGE), "its size", `${body.getBigUint64(16, true)}`);
    },
  },
  {
    name: "dma: a region with an fd is mapped and unmapped",
    severity: "must",
    reference: MAP,
    run: async (probe) => {
      const fd = probe.keep(memfdCreate("vfu-conformance", 4 * PAGE));
      const peer = await probe.connect();
      succeeded(await probe.exchange(peer, COMMAND.DMA_MAP, dmaMap(0, 4 * PAGE), { fds: [fd] }));
      succeeded(await probe.exchange(peer, COMMAND.DMA_UNMAP, dmaUnmap(0, 4 * PAGE)));
    },
  },
  {
    name: "dma: unmapping what is not mapped is refused",
    severity: "must",
    reference: UNMAP,
    run: async (probe) => {
      const answer = await probe.exchange(await probe.connect(), COMMAND.DMA_UNMAP, dmaUnmap(0x7000000, PAGE));
      refused(answer, ERRNO.ENOENT);
    },
  },
  {
    name: "dma: unmapping a part of a region is refused",
    severity: "must",
    reference: `${UNMAP}: exactly as mapped`,
    run: async (probe) => {
      const peer = await probe.connect();
      succeeded(await probe.exchange(peer, COMMAND.DMA_MAP, dmaMap(0, 4 * PAGE)));
      refused(await probe.exchange(peer, COMMAND.DMA_UNMAP, dmaUnmap(0, PAGE)), ERRNO.ENOENT);
      succeeded(await probe.exchange(peer, COMMAND.DMA_UNMAP, dmaUnmap(0, 4 * PAGE)));
    },
  },
  {
    name: "dma: a region over another is refused",
    severity: "must",
    reference: `${MAP}: EEXIST; libvfio-user answers EINVAL`,
    run: async (probe) => {
      const peer = await probe.connect();
      succeeded(await probe.exchange(peer, COMMAND.DMA_MAP, dmaMap(0, 4 * PAGE)));
      refused(await probe.exchange(peer, COMMAND.DMA_MAP, dmaMap(2 * PAGE, 4 * PAGE)), ERRNO.EEXIST);
    },
  },
  {
    name: `dma: ${MANY} regions, and UNMAP_ALL removes them`,
    severity: "reference",
    reference: `${UNMAP}: QEMU asks for it`,
    run: async (probe) => {
      const peer = await probe.connect();
      for (let i = 0; i < MANY; i++) succeeded(await probe.exchange(peer, COMMAND.DMA_MAP, dmaMap(i * 2 * PAGE, PAGE)));
      succeeded(await probe.exchange(peer, COMMAND.DMA_UNMAP, dmaUnmap(0, 0, UNMAP_ALL)));
      refused(await probe.exchange(peer, COMMAND.DMA_UNMAP, dmaUnmap(0, PAGE)), ERRNO.ENOENT);
      succeeded(await probe.exchange(peer, COMMAND.DMA_MAP, dmaMap(0, MANY * 2 * PAGE)));
    },
  },
  {
    name: "dma: maps end with their client",
    severity: "must",
    reference: "Disconnection: the server drops all mappings",
    run: async (probe) => {
      const peer = await probe.connect();
      succeeded(await probe.exchange(peer, COMMAND.DMA_MAP, dmaMap(0, PAGE)));
      peer.close();
      const next = await probe.connect();
      refused(await probe.exchange(next, COMMAND.DMA_UNMAP, dmaUnmap(0, PAGE)), ERRNO.ENOENT);
    },
  },
];
