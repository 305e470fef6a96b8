// TAP interfaces of the kernel, where they can be made: needs root and /dev/net/tun, and says where they are missing.
import { existsSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { readAt, writeAt } from "../src/data/index.ts";
import {
  addressOf,
  closeFd,
  fdCount,
  ifDown,
  ifMac,
  ifMtu,
  ifSetMac,
  ifSetMtu,
  ifState,
  ifUp,
  LinuxError,
  tapOpen,
} from "../src/index.ts";

const name = `emut${process.pid % 100000}`;

/** Why there can be no TAP here, or null. */
function refusal(): string | null {
  if (process.getuid?.() !== 0) return "not root";
  if (!existsSync("/dev/net/tun")) return "no /dev/net/tun";
  try {
    closeFd(tapOpen(`${name}p`).fd);
  } catch (error) {
    return (error as Error).message;
  }
  return null;
}

const reason = refusal();
if (reason !== null) console.log(`tap.test.ts: skipped, a TAP cannot be made here: ${reason}`);

describe.skipIf(reason !== null)("tap", () => {
  it("is made, configured, carries frames out, and is gone when closed", () => {
    fdCount();
    const before = fdCount();
    const tap = tapOpen(name);
    expect(tap.name).toBe(name);
    expect(existsSync(`/sys/class/net/${name}`)).toBe(true);
    expect(ifState(name).up).toBe(false);
    const mac = Uint8Array.of(0x02, 0x11, 0x22, 0x33, 0x44, 0x55);
    ifSetMac(name, mac);
    expect([...ifMac(name)]).toEqual([...mac]);
    ifSetMtu(name, 9000);
    expect(ifMtu(name)).toBe(9000);
    ifUp(name);
    expect(ifState(name)).toEqual({ up: true, running: true });
    const frame = new Uint8Array(new SharedArrayBuffer(2048)).fill(0xff, 0, 6);
    frame.set([0x02, 0, 0, 0, 0, 1, 0x88, 0xb5], 6);
    expect(writeAt(tap.fd, addressOf(frame), 60)).toBe(60);
    // What the kernel says of itself on a new interface (IPv6 discovery, if anything) must drain to "nothing there".
    for (let i = 0; i < 100; i++) if (readAt(tap.fd, addressOf(frame), 2048) < 0) break;
    expect(readAt(tap.fd, addressOf(frame), 2048)).toBeLessThan(2048);
    ifDown(name);
    expect(ifState(name).up).toBe(false);
    closeFd(tap.fd);
    expect(existsSync(`/sys/class/net/${name}`)).toBe(false);
    expect(fdCount()).toBe(before);
  });

  it("may be named by the kernel", () => {
    const tap = tapOpen("emuk%d");
    expect(tap.name).toMatch(/^emuk\d+$/);
    closeFd(tap.fd);
  });

  it("held by somebody, or impossible, says so", () => {
    const tap = tapOpen(name);
    expect(() => tapOpen(name)).toThrow(/TUNSETIFF\(emut\d+\): EBUSY: another process/);
    closeFd(tap.fd);
    expect(() => tapOpen("lo")).toThrow(/TUNSETIFF\(lo\): EINVAL/);
    expect(() => ifUp("emunone")).toThrow(/SIOCGIFFLAGS\(emunone\): ENODEV/);
  });
});

describe("interface names", () => {
  it("are checked before anything is opened", () => {
    expect(() => tapOpen("sixteen-letters-")).toThrow(LinuxError);
    expect(() => tapOpen("a/b")).toThrow(/at most 15 bytes/);
    expect(() => ifUp("a b")).toThrow(/at most 15 bytes/);
  });
});
