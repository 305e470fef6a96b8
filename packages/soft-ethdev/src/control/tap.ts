// net_tap: a TAP interface of the kernel as a port, so that what the network stack sends arrives here and the other way
// round. Needs /dev/net/tun and CAP_NET_ADMIN. The interface is up from the start; whoever moves it to another network
// namespace brings it up there. After DPDK's driver of that name.
import type { DevargsOf } from "@emudev/eal";
import { closeFd, ifMac, ifSetMac, ifSetMtu, ifState, ifUp, type LinuxError, tapOpen } from "@emudev/linux";
import { KIND_TAP, SQ_BUFFER, SQ_BUFFER_BYTES, SQ_FD } from "../layout/queue.ts";
import { softDriver } from "./driver.ts";
import { SoftEthdevError } from "./errors.ts";
import { SoftPort } from "./soft-port.ts";

const PARAMS = {
  iface: { type: "string", help: "name of the interface, at most 15 characters; default: the device's name" },
  mac: { type: "mac", unicast: true, help: "address of the interface" },
} as const;

const BUFFER_BYTES = 65_536;
const MAX_FRAME = 65_535;

export const tapDriver = softDriver(
  "net_tap",
  PARAMS,
  (vdev, eal, held) => {
    const { iface = vdev.name.replace("net_tap", "dtap"), mac } = vdev.params as DevargsOf<typeof PARAMS>;
    const { fd, name } = open(iface);
    held.push(() => closeFd(fd));
    if (mac !== undefined) ifSetMac(name, mac);
    const address = ifMac(name);
    ifUp(name);
    const { arena } = eal;
    const buffer = arena.memzoneReserve(`${vdev.name}.frames`, 2 * BUFFER_BYTES);
    held.push(() => arena.memzoneFree(buffer.name));
    const port = new SoftPort(eal, vdev.name, held, {
      driverName: "net_tap",
      kind: KIND_TAP,
      queues: 1,
      speedMbps: 10_000,
      maxFrame: MAX_FRAME,
      setUp(side, _queue, off) {
        arena.i32[(off + SQ_FD) >>> 2] = fd;
        arena.u32[(off + SQ_BUFFER) >>> 2] = buffer.off + (side === "tx" ? BUFFER_BYTES : 0);
        arena.u32[(off + SQ_BUFFER_BYTES) >>> 2] = BUFFER_BYTES;
      },
      linkUp: () => isUp(name),
      macAddrSet: (address) => ifSetMac(name, address),
      mtuSet: (mtu) => ifSetMtu(name, mtu),
    });
    return { port, mac: address };
  },
  ["eth_tap"],
);

function open(iface: string): { fd: number; name: string } {
  try {
    return tapOpen(iface);
  } catch (cause) {
    const code = (cause as LinuxError).code;
    const hint =
      code === "EPERM" || code === "EACCES"
        ? "; it needs root or CAP_NET_ADMIN"
        : code === "ENOENT"
          ? "; this kernel offers no /dev/net/tun"
          : code === "EBUSY"
            ? "; another process has the interface"
            : "";
    throw new SoftEthdevError("SYSTEM", `iface=${iface}: ${(cause as Error).message}${hint}`, { cause });
  }
}

/** The interface may have been moved to another namespace, where it cannot be seen from here: then it counts as up. */
function isUp(name: string): boolean {
  try {
    return ifState(name).up;
  } catch {
    return true;
  }
}
