// The devargs of `emu_iavf`, checked by the vdev bus before probe, and what a device makes of them.
import { AVF_ETH_OVERHEAD, AVF_MTU_MAX, AVF_QUEUE_PAIRS_MAX } from "@emudev/avf";
import { type DevargsOf, type DevargsSchema, EalError } from "@emudev/eal";

export const PARAMS = {
  path: { type: "path", help: "unix socket that the vfio-user client connects to; this or fd is required" },
  fd: {
    type: "uint",
    min: 3,
    max: 1 << 20,
    help: "instead: number of an inherited socket that listens or is connected",
  },
  id: {
    type: "uint",
    min: 0,
    max: 1023,
    help: "emudev id that a backend names by avf_emu_id; default: the lowest free",
  },
  queues: { type: "uint", min: 1, max: AVF_QUEUE_PAIRS_MAX, default: 4, help: "queue pairs" },
  mac: { type: "mac", unicast: true, help: "the guest's address; default 02:00:00:00:<id>:01" },
  mtu: { type: "uint", min: 68, max: AVF_MTU_MAX, default: AVF_MTU_MAX, help: "largest MTU the guest may set" },
  speed: { type: "uint", min: 100, max: 400_000, default: 10_000, help: "link speed in Mbit/s" },
  doorbell: { type: "choice", choices: ["mem", "fd"], default: "mem", help: "mapped by the client, or trapped" },
  windows: {
    type: "choice",
    choices: ["static", "demand"],
    default: "demand",
    help: "guest memory that finds no room in the arena: mapped as it is used, or static: copied by the main thread",
  },
  poll: { type: "choice", choices: ["off", "on"], default: "off", help: "on: read the client's socket all the time" },
  state: { type: "path", help: "file that keeps the device while its client or this process is away" },
  mode: { type: "mode", help: "permissions of the socket file, octal; default: the umask's" },
  uid: { type: "user", help: "owner of the socket file, name or number" },
  gid: { type: "group", help: "group of the socket file, name or number" },
  peer_uid: { type: "user", help: "a client of any other user is refused" },
  peer_gid: { type: "group", help: "a client that is not of this group is refused" },
} as const satisfies DevargsSchema;

export type Params = DevargsOf<typeof PARAMS>;

/** The devargs were found wanting by their schema's standards: what `path` and `fd` must be to each other. */
export function checkParams(name: string, { path, fd }: Params): void {
  if (path === undefined && fd === undefined)
    throw new EalError("DEVARGS", `${name}: 'path=' is missing; it or 'fd=' is required`);
  if (path !== undefined && fd !== undefined)
    throw new EalError("DEVARGS", `${name}: 'path=' and 'fd=' exclude each other`);
}

/** Where the device is served, as people are told. */
export const addressOf = ({ path, fd }: Params): string => path ?? `fd ${fd}`;

/** The address of device `id` when none was given: locally administered, different for each id. */
export const defaultMac = (id: number): Uint8Array => Uint8Array.of(0x02, 0, 0, id >>> 8, id & 0xff, 1);

/** Bytes of the largest frame, headers, two VLAN tags and CRC included, for an MTU. */
export const frameMax = (mtu: number): number => mtu + AVF_ETH_OVERHEAD;

/** Who may connect: the socket file's owner and permissions, and what the server asks of a client. */
export function accessOf({ mode, uid, gid, peer_uid, peer_gid }: Params) {
  const peer = {
    ...(peer_uid !== undefined && { uid: [peer_uid] }),
    ...(peer_gid !== undefined && { gid: [peer_gid] }),
  };
  return { mode, uid, gid, peer };
}
