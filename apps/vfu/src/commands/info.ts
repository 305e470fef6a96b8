// `vfu info`: everything that a server says of its device without a register being written: what it is, who serves it, what
// was negotiated, flags, migration, regions and interrupts. The first thing to type at a socket that is not known.
import { type VfioUserClient, VfioUserError } from "@emudev/vfio-user";
import { command, withSocket } from "../command.ts";
import { knownDevice } from "../devices.ts";
import { deviceFlags, hex, sizeText } from "../names.ts";
import { table } from "../output.ts";
import { identify, withTarget } from "../target.ts";
import { type IrqFacts, irqFacts, irqRows, type RegionFacts, regionFacts, regionRows } from "../views.ts";

const MIGRATION_FLAG = { STOP_COPY: 1, P2P: 2, PRE_COPY: 4 } as const;

export const info = command({
  command: "info <socket>",
  describe: "what the device is, what it has, and who serves it",
  options: (yargs) => withSocket(yargs),
  run: (args, context) =>
    withTarget(args, context, async ({ client, socket, server }) => {
      const id = await identify(client);
      const device = await client.getInfo();
      const regions: RegionFacts[] = [];
      for (let index = 0; index < device.numRegions; index++) regions.push(await regionFacts(client, index));
      const irqs: IrqFacts[] = [];
      for (let index = 0; index < device.numIrqs; index++) irqs.push(await irqFacts(client, index));
      const facts = {
        socket,
        server,
        protocol: { major: 0, minor: client.minor },
        capabilities: client.capabilities,
        device: id === null ? null : { vendorId: hex(id.vendorId, 4), deviceId: hex(id.deviceId, 4), name: nameOf(id) },
        flags: deviceFlags(device.flags),
        migration: await migration(client),
        regions,
        irqs,
      };
      if (args.json) context.out.json(facts);
      else for (const line of text(facts)) context.out.line(line);
      return 0;
    }),
});

type Facts = {
  socket: string;
  server: { pid: number; uid: number; command: string };
  protocol: { major: number; minor: number };
  capabilities: VfioUserClient["capabilities"];
  device: { vendorId: string; deviceId: string; name: string | null } | null;
  flags: string[];
  migration: string[] | null;
  regions: RegionFacts[];
  irqs: IrqFacts[];
};

function text({ socket, server, protocol, capabilities, device, flags, migration, regions, irqs }: Facts): string[] {
  const { maxMsgFds, maxDataXferSize, maxDmaMaps, pgsizes, ...others } = capabilities;
  const more = Object.entries(others).filter(([, value]) => value !== undefined && value !== false && value !== -1);
  const ids =
    device === null ? "unknown (no configuration space)" : `${device.vendorId.slice(2)}:${device.deviceId.slice(2)}`;
  return [
    ...table([
      ["socket", socket],
      ["server", `pid ${server.pid}${server.command && ` (${server.command})`}, uid ${server.uid}`],
      ["protocol", `vfio-user ${protocol.major}.${protocol.minor}`],
      [
        "capabilities",
        `max_msg_fds ${maxMsgFds}, max_data_xfer_size ${sizeText(maxDataXferSize)}, max_dma_maps ${maxDmaMaps}, pgsizes ${hex(pgsizes)}`,
      ],
      ...more.map(([name, value]) => ["", `${name} ${typeof value === "object" ? JSON.stringify(value) : value}`]),
      ["device", device?.name ? `${ids} ${device.name}` : ids],
      ["flags", flags.join(" ") || "none"],
      ["migration", migration === null ? "not supported" : migration.join(" ")],
    ]),
    "",
    ...regionRows(regions),
    "",
    ...irqRows(irqs),
  ];
}

function nameOf({ vendorId, deviceId }: { vendorId: number; deviceId: number }): string | null {
  return knownDevice(vendorId, deviceId)?.name ?? null;
}

/** Names of what the device supports, or null for none. A server that knows no DEVICE_FEATURE refuses it. */
async function migration(client: VfioUserClient): Promise<string[] | null> {
  const ask = (client as { migrationInfo?: () => Promise<number> }).migrationInfo;
  if (ask === undefined) return null;
  try {
    const flags = await ask.call(client);
    const names = Object.entries(MIGRATION_FLAG).flatMap(([name, bit]) => (flags & bit ? [name.toLowerCase()] : []));
    return flags === 0 ? null : names;
  } catch (error) {
    if (error instanceof VfioUserError && error.code === "VFU_REFUSED") return null;
    throw error;
  }
}
