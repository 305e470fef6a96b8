// DEVICE_RESET, DEVICE_GET_REGION_IO_FDS' arguments and DEVICE_FEATURE's probes, and clients that leave at awkward moments
// (libvfio-user: test_device_get_region_io_fds, test_migration, test_destroy).
import { readdirSync } from "node:fs";
import { eventfd, memfdCreate } from "@emudev/linux";
import { COMMAND } from "@emudev/vfio-user";
import { access, cat, dmaMap, feature, getInfo, message, setIrqs, u8, u32 } from "../bytes.ts";
import { type Check, Mismatch, needsServer, Skip } from "../check.ts";
import { expect, type Facts, type Probe, refused, succeeded } from "../probe.ts";

const IO_FDS = "DEVICE_GET_REGION_IO_FDS; libvfio-user test_device_get_region_io_fds";
const FEATURE = "DEVICE_FEATURE; libvfio-user test_migration";
const LEAVE = "Disconnection";
const PROBE = 1 << 18;
const GET = 1 << 16;
const SET = 1 << 17;
const MIGRATION = 1;
const ROUNDS = 200;

const ioFds = (argsz: number, flags: number, index: number, count: number): Uint8Array =>
  u32(argsz, flags, index, count);
const resets = ({ flags }: Facts): string | null => (flags & 1 ? null : "the device does not offer reset");

async function ioRefused(probe: Probe, body: Uint8Array): Promise<void> {
  refused(await probe.exchange(await probe.connect(), COMMAND.DEVICE_GET_REGION_IO_FDS, body));
}

/** Whether features are served at all: a server that knows none refuses the probe. */
async function hasMigration(probe: Probe): Promise<boolean> {
  const peer = await probe.connect();
  const answer = await probe.exchange(peer, COMMAND.DEVICE_FEATURE, feature(PROBE | GET | MIGRATION));
  peer.close();
  return answer.kind === "reply" && answer.errno === 0;
}

/** fds of the server's process, where this user may look. */
function fdsOf(pid: number): number {
  try {
    return readdirSync(`/proc/${pid}/fd`).length;
  } catch {
    throw new Skip(`fds of process ${pid} cannot be counted: it is another user's, or not on this machine`);
  }
}

export const FEATURES: readonly Check[] = [
  {
    name: "reset: DEVICE_RESET is answered without payload, and the device serves on",
    severity: "must",
    reference: "DEVICE_RESET",
    destructive: true,
    skip: resets,
    run: async (probe) => {
      const peer = await probe.connect();
      const { body } = succeeded(await probe.exchange(peer, COMMAND.DEVICE_RESET, u8()));
      expect(body.byteLength === 0, "no payload", `${body.byteLength} bytes`);
      succeeded(await probe.exchange(peer, COMMAND.DEVICE_GET_INFO, getInfo()));
    },
  },
  {
    name: "io_fds: flags that are not 0 are refused",
    severity: "reference",
    reference: IO_FDS,
    run: (probe) => ioRefused(probe, ioFds(4096, 1, 0, 0)),
  },
  {
    name: "io_fds: a count that is not 0 is refused",
    severity: "reference",
    reference: IO_FDS,
    run: (probe) => ioRefused(probe, ioFds(4096, 0, 0, 1)),
  },
  {
    name: "io_fds: argsz 15 is refused",
    severity: "reference",
    reference: IO_FDS,
    run: (probe) => ioRefused(probe, ioFds(15, 0, 0, 0)),
  },
  {
    name: "io_fds: a region that does not exist is refused",
    severity: "must",
    reference: IO_FDS,
    run: (probe) => ioRefused(probe, ioFds(4096, 0, 0x7fffffff, 0)),
  },
  {
    name: "feature: a message cut short is refused",
    severity: "must",
    reference: FEATURE,
    run: async (probe) => refused(await probe.exchange(await probe.connect(), COMMAND.DEVICE_FEATURE, u8(8, 0, 0, 0))),
  },
  {
    name: "feature: one that nobody knows is refused",
    severity: "must",
    reference: FEATURE,
    run: async (probe) => {
      const answer = await probe.exchange(await probe.connect(), COMMAND.DEVICE_FEATURE, feature(PROBE | 0xfff0));
      if (answer.kind !== "reply" || answer.errno === 0) throw new Mismatch("an error", "another answer");
    },
  },
  {
    name: "feature: GET of MIGRATION tells flags that make sense",
    severity: "must",
    reference: FEATURE,
    run: async (probe) => {
      if (!(await hasMigration(probe))) throw new Skip("the device does not offer migration");
      const { body } = await probe.ask(COMMAND.DEVICE_FEATURE, feature(GET | MIGRATION, u8(), 16));
      expect(body.byteLength === 16, "16 bytes", `${body.byteLength} bytes`);
      const flags = body.getBigUint64(8, true);
      expect((flags & 1n) === 1n && flags < 8n, "STOP_COPY, and none beyond PRE_COPY", `${flags}`);
    },
  },
  {
    name: "feature: GET together with SET is refused",
    severity: "reference",
    reference: FEATURE,
    run: async (probe) => {
      if (!(await hasMigration(probe))) throw new Skip("the device does not offer migration");
      const both = feature(GET | SET | MIGRATION, new Uint8Array(8));
      refused(await probe.exchange(await probe.connect(), COMMAND.DEVICE_FEATURE, both));
    },
  },
  {
    name: "leave: in the middle of a header, of a payload, and with replies unread",
    severity: "must",
    reference: LEAVE,
    run: async (probe) => {
      const info = message(1, COMMAND.DEVICE_GET_INFO, getInfo());
      for (const bytes of [
        info.subarray(0, 3),
        info.subarray(0, 20),
        cat(...Array.from({ length: 100 }, () => info)),
      ]) {
        const peer = await probe.connect();
        await probe.sendBytes(peer, bytes);
        peer.close();
      }
      succeeded(await probe.exchange(await probe.connect(), COMMAND.DEVICE_GET_INFO, getInfo()));
    },
  },
  {
    name: "leave: before VERSION, and with half of it",
    severity: "must",
    reference: LEAVE,
    run: async (probe) => {
      for (const bytes of [u8(), u8(1, 0, 1, 0)]) {
        const peer = await probe.raw();
        await probe.sendBytes(peer, bytes);
        peer.close();
      }
      await probe.connect();
    },
  },
  {
    name: `leave: ${ROUNDS} clients with maps and eventfds leave no fd with the server`,
    severity: "must",
    reference: LEAVE,
    run: async (probe) => {
      const memory = probe.keep(memfdCreate("vfu-conformance", 4096));
      const fd = probe.keep(eventfd());
      const index = probe.facts.irqs.findIndex(({ count, flags }) => count > 0 && flags & 1);
      const visit = async (): Promise<void> => {
        const peer = await probe.connect();
        await probe.exchange(peer, COMMAND.DMA_MAP, dmaMap(0, 4096), { fds: [memory] });
        if (index >= 0) await probe.exchange(peer, COMMAND.DEVICE_SET_IRQS, setIrqs(0x24, index, 0, 1), { fds: [fd] });
        peer.close();
      };
      const held = async (): Promise<number> => {
        const peer = await probe.connect();
        const fds = fdsOf(probe.facts.pid);
        peer.close();
        return fds;
      };
      for (let i = 0; i < 20; i++) await visit();
      const before = await held();
      for (let i = 0; i < ROUNDS; i++) await visit();
      const after = await held();
      expect(after <= before + 2, `${before} fds`, `${after} fds`);
    },
  },
  {
    name: "leave: what was sent with a command that is refused is closed",
    severity: "must",
    reference: "libvfio-user test_request_errors",
    run: async (probe) => {
      const memory = probe.keep(memfdCreate("vfu-conformance", 4096));
      const peer = await probe.connect();
      await probe.exchange(peer, COMMAND.DEVICE_GET_INFO, getInfo());
      const before = fdsOf(probe.facts.pid);
      for (let i = 0; i < 20; i++)
        await probe.exchange(peer, COMMAND.REGION_READ, access(0x7fffffff, 0, 4), { fds: [memory, memory] });
      expect(fdsOf(probe.facts.pid) <= before, `${before} fds`, `${fdsOf(probe.facts.pid)} fds`);
    },
  },
  needsServer(
    "dirty pages: what a device writes is logged",
    "libvfio-user test_dirty_pages",
    "the device must write to memory",
  ),
  needsServer(
    "migration: data of a device is saved and loaded",
    "libvfio-user test_migration",
    "it would stop the device",
  ),
  needsServer(
    "quiesce: a reply waits for the device",
    "libvfio-user test_quiesce",
    "needs callbacks of the server's making",
  ),
  needsServer(
    "dma: DMA_READ and DMA_WRITE of the server",
    "libvfio-user test_sgl_read_write",
    "the device must ask for them",
  ),
  needsServer("irqs: the device raises an interrupt", "libvfio-user test_irq_trigger", "`vfu watch --irqs` shows them"),
];
