// A guest on a host TAP: testpmd forwards between the AVF and a TAP in a network namespace, whose other end is the host's own
// TCP/IP. So checksum and segmentation offloads of the guest meet a stack that did not agree to them.
import { expect, test } from "vitest";
import { pingAll } from "../src/ping.ts";
import type { GuestOptions } from "../src/qemu.ts";
import { type Scene, scene } from "../src/scene.ts";
import { transfer } from "../src/tcp-transfer.ts";

const HOST = "10.0.0.1";
const HOST6 = "fd00::1";

/** A guest and a TAP in a namespace, on one subnet, with testpmd between them. */
async function connected(set: Scene, options: Partial<GuestOptions> & { name: string }) {
  const netns = set.netns();
  const eal = [...set.avf(), "--vdev=net_tap0,iface=tap0"];
  const testpmd = await set.testpmd({ eal, app: ["--forward-mode=io"], prefix: netns.prefix });
  netns.up("tap0", `${HOST}/24`);
  const guest = await set.boot(options);
  await guest.nicUp(0, "10.0.0.2/24");
  return { netns, guest, testpmd };
}

test(
  "b. a guest on a TAP in a network namespace: pings, 64 MiB over TCP each way with equal sha256, IPv6 too",
  scene(
    async (set) => {
      const { netns, guest, testpmd } = await connected(set, { name: "b" });
      await pingAll(guest, HOST, { count: 20 });
      const moved = await transfer(guest, netns, HOST, 64 << 20);
      expect(moved).toMatchObject({ guest: moved.sent, received: moved.sent, bytes: 64 << 20 });
      console.log(`64 MiB in ${moved.seconds.toGuest} s to the guest, ${moved.seconds.fromGuest} s from it`);
      // the guest left checksums and segmentation to the device, and no frame of either direction was refused
      const stats = await testpmd.portXstats(0);
      expect(stats.rx_tso_packets).toBeGreaterThan(100);
      expect(stats.rx_checksum_packets).toBeGreaterThan(100);
      expect(stats).toMatchObject({
        rx_errors: 0,
        rx_bad_offload: 0,
        rx_bad_tso: 0,
        tx_bad_address: 0,
        tx_oversize: 0,
      });
      // and the same over IPv6, whose checksums have another pseudo-header
      netns.ip("addr", "add", `${HOST6}/64`, "dev", "tap0", "nodad");
      await guest.ok("echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_dad; ip -6 addr add fd00::2/64 dev eth0");
      await pingAll(guest, HOST6, { count: 5 });
      const again = await transfer(guest, netns, HOST6, 4 << 20);
      expect(again).toMatchObject({ guest: again.sent, received: again.sent, bytes: 4 << 20 });
    },
    { tap: true },
  ),
);

test(
  "g. a guest with 6 GiB of sparse shared memory, more than the arena: pings, and 64 MiB over TCP each way with equal sha256",
  scene(
    async (set) => {
      const { netns, guest, testpmd } = await connected(set, { name: "g", memoryMiB: 6144 });
      await pingAll(guest, HOST, { count: 20 });
      const moved = await transfer(guest, netns, HOST, 64 << 20);
      expect(moved).toMatchObject({ guest: moved.sent, received: moved.sent, bytes: 64 << 20 });
      console.log(`64 MiB in ${moved.seconds.toGuest} s to the guest, ${moved.seconds.fromGuest} s from it`);
      // windows were mapped for it, packets waited for them at most, and nothing was carried by the main thread
      const stats = await testpmd.portXstats(0);
      console.log(JSON.stringify(Object.fromEntries(Object.entries(stats).filter(([name]) => /mem_|held/.test(name)))));
      expect(stats.mem_windows_mapped).toBeGreaterThan(0);
      expect(stats).toMatchObject({ tx_held_lost: 0, mem_windows_thrashed: 0, tx_bad_address: 0, rx_errors: 0 });
      expect(testpmd.output).not.toContain("carried");
      // its client is killed while windows are in use, and maybe fetched; another takes the device
      await guest.run(`(ping -f -s 8000 ${HOST} > /dev/null &); sleep 0.3`);
      await guest.destroy();
      const next = await set.boot({ name: "g2", memoryMiB: 6144 });
      await next.nicUp(0, "10.0.0.3/24");
      await pingAll(next, HOST, { count: 20 });
    },
    { tap: true },
  ),
);
