// TAP interfaces (the kernel's Documentation/networking/tuntap.rst and netdevice(7)): an fd on which each read is one
// Ethernet frame that the kernel sends, and each write one that it receives. Needs /dev/net/tun and CAP_NET_ADMIN, and
// acts in the network namespace of the calling thread. net_tap is the user.
import { closeSync, constants, openSync } from "node:fs";
import { ERRNO, LinuxError } from "./errors.ts";
import { fromNode } from "./files.ts";
import { check, close, errno, ioctl, socket } from "./libc.ts";

/** Bytes of an interface's name, its final NUL included. */
const IFNAMSIZ = 16;
/** struct ifreq: the name, then a union; 40 bytes on 64-bit. */
const IFREQ_BYTES = 40;
const IFREQ_VALUE = IFNAMSIZ;

const TUNSETIFF = 0x400454ca;
const IFF_TAP = 0x0002;
const IFF_NO_PI = 0x1000;
const SIOCGIFFLAGS = 0x8913;
const SIOCSIFFLAGS = 0x8914;
const SIOCGIFMTU = 0x8921;
const SIOCSIFMTU = 0x8922;
const SIOCSIFHWADDR = 0x8924;
const SIOCGIFHWADDR = 0x8927;
const IFF_UP = 0x1;
const IFF_RUNNING = 0x40;
const ARPHRD_ETHER = 1;
const AF_INET = 2;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;

/**
 * Attaches to the TAP interface `name`, which is made where it does not exist; "" or a name with %d lets the kernel
 * choose.
 * @returns the fd, non-blocking, which the caller owns (closing it removes an interface it made), and the name it got
 * @throws LinuxError ENOENT no /dev/net/tun, EPERM no CAP_NET_ADMIN, EBUSY somebody is attached, EINVAL not a TAP
 */
export function tapOpen(name: string): { fd: number; name: string } {
  const request = interfaceRequest(name, "TUNSETIFF");
  let fd: number;
  try {
    fd = openSync("/dev/net/tun", constants.O_RDWR | constants.O_NONBLOCK);
  } catch (error) {
    throw fromNode(error, "open", "/dev/net/tun");
  }
  new DataView(request.buffer).setUint16(IFREQ_VALUE, IFF_TAP | IFF_NO_PI, true);
  if (ioctl(fd, TUNSETIFF, request) < 0) {
    const error = errno();
    closeSync(fd);
    throw new LinuxError(error, "ioctl TUNSETIFF", name, TAP_HINTS[error] ?? "");
  }
  return { fd, name: nameOf(request) };
}

/** Sets an interface up, as `ip link set NAME up`. */
export function ifUp(name: string): void {
  changeFlags(name, IFF_UP, IFF_UP);
}

/** Sets an interface down. */
export function ifDown(name: string): void {
  changeFlags(name, IFF_UP, 0);
}

/** Whether an interface is set up, and whether it is running (has a carrier). */
export function ifState(name: string): { up: boolean; running: boolean } {
  const flags = request(name, SIOCGIFFLAGS, "SIOCGIFFLAGS", interfaceRequest(name, "SIOCGIFFLAGS"));
  const value = flags.getUint16(IFREQ_VALUE, true);
  return { up: (value & IFF_UP) !== 0, running: (value & IFF_RUNNING) !== 0 };
}

/** The 6-byte hardware address of an interface. */
export function ifMac(name: string): Uint8Array {
  const answer = request(name, SIOCGIFHWADDR, "SIOCGIFHWADDR", interfaceRequest(name, "SIOCGIFHWADDR"));
  return new Uint8Array(answer.buffer.slice(IFREQ_VALUE + 2, IFREQ_VALUE + 8));
}

/** Sets the hardware address of an interface. @param mac 6 bytes, a unicast address (else EADDRNOTAVAIL) */
export function ifSetMac(name: string, mac: Uint8Array): void {
  const bytes = interfaceRequest(name, "SIOCSIFHWADDR");
  new DataView(bytes.buffer).setUint16(IFREQ_VALUE, ARPHRD_ETHER, true);
  bytes.set(mac.subarray(0, 6), IFREQ_VALUE + 2);
  request(name, SIOCSIFHWADDR, "SIOCSIFHWADDR", bytes);
}

/** The MTU of an interface in bytes, without the Ethernet header. */
export function ifMtu(name: string): number {
  return request(name, SIOCGIFMTU, "SIOCGIFMTU", interfaceRequest(name, "SIOCGIFMTU")).getInt32(IFREQ_VALUE, true);
}

/** Sets the MTU of an interface in bytes. */
export function ifSetMtu(name: string, mtu: number): void {
  const bytes = interfaceRequest(name, "SIOCSIFMTU");
  new DataView(bytes.buffer).setInt32(IFREQ_VALUE, mtu, true);
  request(name, SIOCSIFMTU, "SIOCSIFMTU", bytes);
}

const TAP_HINTS: Record<number, string | undefined> = {
  [ERRNO.EPERM]: "making a TAP interface needs CAP_NET_ADMIN",
  [ERRNO.EBUSY]: "another process is attached to it",
  [ERRNO.EINVAL]: "an interface of that name exists and is no single-queue TAP",
};

function changeFlags(name: string, mask: number, value: number): void {
  const bytes = interfaceRequest(name, "SIOCGIFFLAGS");
  const words = request(name, SIOCGIFFLAGS, "SIOCGIFFLAGS", bytes);
  words.setUint16(IFREQ_VALUE, (words.getUint16(IFREQ_VALUE, true) & ~mask) | value, true);
  request(name, SIOCSIFFLAGS, "SIOCSIFFLAGS", bytes);
}

/** Runs one interface ioctl on a socket of its own, since these calls want any socket and keep none. */
function request(name: string, code: number, syscall: string, bytes: Uint8Array): DataView {
  const fd = check(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket", name);
  const result = ioctl(fd, code, bytes);
  const error = result < 0 ? errno() : 0;
  close(fd);
  if (error !== 0) throw new LinuxError(error, `ioctl ${syscall}`, name);
  return new DataView(bytes.buffer);
}

function interfaceRequest(name: string, syscall: string): Uint8Array {
  const text = Buffer.from(name, "utf8");
  if (text.length >= IFNAMSIZ || /[/\s\0]/.test(name)) {
    const hint = `an interface's name has at most ${IFNAMSIZ - 1} bytes and no blank or slash`;
    throw new LinuxError(ERRNO.EINVAL, `ioctl ${syscall}`, name, hint);
  }
  const bytes = new Uint8Array(IFREQ_BYTES);
  bytes.set(text, 0);
  return bytes;
}

function nameOf(request: Uint8Array): string {
  const end = request.indexOf(0);
  return Buffer.from(request.subarray(0, end < 0 || end > IFNAMSIZ ? IFNAMSIZ : end)).toString("utf8");
}
