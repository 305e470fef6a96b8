// apps/devices' NVMe controller under Linux's own nvme driver, of Debian's kernel package: the disk has its size, a file system
// is made, used and checked on it, flushes reach the device, and what the guest wrote is in the file on the host. Then the
// driver is unbound and bound again.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { pciAddress } from "../src/qemu.ts";
import { scene } from "../src/scene.ts";

const MIB = 1 << 20;
const MARK = "this line is looked for in the image on the host";

test(
  "NVMe: Linux's driver binds, an ext4 file system is made, used and checked",
  scene(
    async (set) => {
      const image = join(set.folder, "disk.img");
      const disk = await set.device("nvme/main.js", "--file", image, "--size", "48M", "--serial", "GUEST-1");
      const guest = await set.boot({ name: "nvme", smp: 2 });
      const fds = disk.fds().length;

      await guest.ok("until_true 100 '[ -b /dev/nvme0n1 ]'");
      const bound = `readlink /sys/bus/pci/devices/${pciAddress(0)}/driver`;
      expect(await guest.ok(bound)).toMatch(/\/nvme$/);
      expect(await guest.ok("blockdev --getsize64 /dev/nvme0n1; blockdev --getss /dev/nvme0n1")).toBe(
        `${48 * MIB}\n512`,
      );
      expect((await guest.ok("cat /sys/class/nvme/nvme0/serial")).trim()).toBe("GUEST-1");
      expect(await guest.ok("cat /sys/class/nvme/nvme0/queue_count")).toBe("3"); // admin, and one for each CPU
      expect(await guest.ok("cat /sys/block/nvme0n1/queue/write_cache")).toBe("write back");
      // a vector for each queue
      const irqs = await guest.ok("grep nvme0q /proc/interrupts");
      expect(irqs.split("\n")).toHaveLength(3);

      await guest.ok("/tools/mke2fs -q -t ext4 /dev/nvme0n1 && mount -t ext4 /dev/nvme0n1 /mnt");
      await guest.ok("for i in 1 2 3 4 5 6 7 8; do head -c $((i * 30000 + i)) /dev/urandom > /mnt/file$i; done");
      await guest.ok(`echo '${MARK}' > /mnt/marked; sync`);
      const sums = await guest.ok("cd /mnt && sha256sum file* marked");
      await guest.ok("umount /mnt; echo 3 > /proc/sys/vm/drop_caches");
      await guest.ok("/tools/e2fsck -fn /dev/nvme0n1");
      await guest.ok("mount -t ext4 /dev/nvme0n1 /mnt");
      expect(await guest.ok("cd /mnt && sha256sum file* marked")).toBe(sums);
      // deleting with discard: DATASET MANAGEMENT; then what is left is as before
      await guest.ok("rm /mnt/file[1-4]; fstrim /mnt; sync; umount /mnt");
      expect(await guest.run("/tools/e2fsck -fn /dev/nvme0n1")).toMatchObject({ status: 0 });

      const bytes = readFileSync(image);
      expect(bytes.length).toBe(48 * MIB);
      expect(bytes.readUInt16LE(1024 + 56)).toBe(0xef53); // of ext2's descendants
      expect(bytes.includes(MARK)).toBe(true);

      // direct I/O of many shapes, against the same bytes in memory
      await guest.ok(
        "head -c 786433 /dev/urandom > /tmp/part; cat /tmp/part /tmp/part /tmp/part /tmp/part > /tmp/data",
      );
      await guest.ok("truncate -s 3145728 /tmp/data; dd if=/tmp/data of=/dev/nvme0n1 bs=1M oflag=direct");
      const sum = await guest.ok("sha256sum < /tmp/data");
      const direct = (size: number): Promise<string> => {
        const count = Math.ceil(3145728 / size);
        return guest.ok(`dd if=/dev/nvme0n1 iflag=direct bs=${size} count=${count} | head -c 3145728 | sha256sum`);
      };
      for (const size of [1536, 20480, 3145728]) expect(await direct(size)).toContain(sum);

      const driver = "/sys/bus/pci/drivers/nvme";
      for (let round = 0; round < 2; round++) {
        await guest.ok(`echo ${pciAddress(0)} > ${driver}/unbind; [ ! -e /dev/nvme0n1 ]`);
        await guest.ok(`echo ${pciAddress(0)} > ${driver}/bind; until_true 100 '[ -b /dev/nvme0n1 ]'`);
      }
      expect(await direct(1 << 20)).toContain(sum);
      // a reset of the controller by its own file: the driver gives up its queues and makes new ones
      await guest.ok("echo 1 > /sys/class/nvme/nvme0/reset_controller");
      expect(await direct(1 << 20)).toContain(sum);
      expect(await guest.ok("dmesg | grep -iE 'nvme.*(timeout|abort|error|fail|not ready)' || true")).toBe("");
      expect(disk.fds().length).toBe(fds);

      await guest.powerOff();
      await disk.end();
      const [, told] = await disk.said(/^nvme: (\{.*\})$/m);
      const counts = JSON.parse(told!);
      expect(counts).toMatchObject({ mediaErrors: 0 });
      expect(counts.flushes).toBeGreaterThan(2);
      expect(counts.bytesRead).toBeGreaterThan(12 * MIB);
      expect(counts.interrupts).toBeGreaterThan(100);
    },
    { drivers: true },
  ),
);

test(
  "NVMe: a guest whose memory comes without file descriptors reads and writes by messages",
  scene(
    async (set) => {
      await set.device("nvme/main.js", "--block-size", "4096", "--queues", "1");
      const guest = await set.boot({ name: "nvme-private", ram: "private" });
      await guest.ok("until_true 100 '[ -b /dev/nvme0n1 ]'");
      expect(await guest.ok("blockdev --getss /dev/nvme0n1")).toBe("4096");
      await guest.ok("/tools/mke2fs -q -t ext4 /dev/nvme0n1 && mount -t ext4 /dev/nvme0n1 /mnt");
      await guest.ok("for i in 1 2 3 4; do head -c $((i * 50000 + i)) /dev/urandom > /mnt/file$i; done; sync");
      const sums = await guest.ok("cd /mnt && sha256sum file*");
      await guest.ok("umount /mnt; echo 3 > /proc/sys/vm/drop_caches; /tools/e2fsck -fn /dev/nvme0n1");
      await guest.ok("mount -t ext4 /dev/nvme0n1 /mnt");
      expect(await guest.ok("cd /mnt && sha256sum file*")).toBe(sums);
    },
    { drivers: true },
  ),
);
