// The guest's initial RAM disk: busybox, the iavf module with those it needs in loading order, and three shell files. Those
// are part of the lab, so the disk is written anew, under another name, whenever they change. The agent reads commands from
// the second serial port and answers with exit status and output, see agent.ts for its frames.
import { createHash } from "node:crypto";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { type CpioEntry, encodeCpio } from "./cpio.ts";

const INIT = `#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /bin /sbin /usr/bin /usr/sbin /run /tmp /etc
/bin/busybox --install -s
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev 2>/dev/null
mount -t tmpfs -o size=80% tmp /tmp
export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/
ip link set lo up
for m in $(cat /modules.list); do insmod /lib/mod/$m || echo "lab: insmod $m failed"; done
if grep -q emudev.console /proc/cmdline; then
  cat /etc/welcome; . /lib/lab.sh
  nic_up 0000:00:05.0 10.0.0.2/24 >/dev/null 2>&1
  setsid cttyhack sh -l; poweroff -f
fi
while true; do sh /lib/agent.sh; sleep 1; done
`;

const AGENT = `stty -F /dev/ttyS1 raw -echo
exec 3<>/dev/ttyS1
echo "READY $(uname -r) $(nproc)" >&3
while read -r id text <&3; do
  { echo ". /lib/lab.sh"; echo "$text" | base64 -d; } > /run/$id.sh
  sh /run/$id.sh > /run/$id.out 2>&1 < /dev/null 3>&-
  status=$?
  echo "DONE $id $status $(stat -c %s /run/$id.out)" >&3
  cat /run/$id.out >&3
  rm -f /run/$id.sh /run/$id.out
done
`;

/**
 * What the lab's commands can use in the guest; a NIC is named by its PCI address, as 0000:00:05.0. A carrier alone is not enough
 * to send by: the kernel drops packets until its link watch has seen it, which sets operstate and then activates the queues
 * under the lock that `ip link set` takes as well.
 */
const LAB = `nic() { ls /sys/bus/pci/devices/$1/net 2>/dev/null | head -n 1; }
until_true() { n=$1; shift; while ! eval "$@"; do n=$((n-1)); [ $n -gt 0 ] || return 1; sleep 0.1; done; }
wait_nic() { until_true 300 '[ -n "$(nic '$1')" ]' || { echo "no network device at $1"; return 1; }; nic $1; }
net() { cat /sys/class/net/$1/$2 2>/dev/null; }
carrier() { [ "$(net $1 carrier)" = 1 ] && [ "$(net $1 operstate)" = up ]; }
wait_carrier() { until_true \${2:-300} carrier $1 && ip link set $1 up || { echo "no carrier on $1"; return 1; }; }
nic_up() { d=$(wait_nic $1) || { echo "$d"; return 1; }; ip link set $d up && ip addr replace $2 dev $d && wait_carrier $d && echo $d; }
nic_irqs() { grep -i "iavf-$1" /proc/interrupts; }
`;

const WELCOME = `
A Linux guest with its own iavf driver; eth0 is 10.0.0.2/24. On the other side testpmd answers pings: try
  ping 10.0.0.1
`;

/** A program or library for the disk: its name there, and the file it is copied from. */
export interface ExtraFile {
  name: string;
  from: string;
}

/** Writes the disk next to the kernel, where it is not there yet, and returns its path. */
export function writeInitrd(
  folder: string,
  busybox: string,
  modules: readonly string[],
  extra: readonly ExtraFile[] = [],
): string {
  const contents = [
    INIT,
    AGENT,
    LAB,
    WELCOME,
    ...modules.map((path) => basename(path)),
    ...extra.map(({ name }) => name),
  ];
  const hash = createHash("sha256").update(contents.join("\0")).digest("hex").slice(0, 12);
  const path = join(folder, `initrd-${hash}.img`);
  if (existsSync(path)) return path;
  const entries: CpioEntry[] = [];
  const folders = ["dev", "proc", "sys", "bin", "sbin", "etc", "usr", "usr/bin", "usr/sbin", "lib", "lib/mod", "mnt"];
  if (extra.length > 0) folders.push("tools", "lib64", "lib/x86_64-linux-gnu");
  for (const name of folders) entries.push({ name, mode: 0o40755 });
  entries.push({ name: "dev/console", mode: 0o20600, device: { major: 5, minor: 1 } });
  const file = (name: string, mode: number, data: string | Uint8Array): void => {
    entries.push({ name, mode: 0o100000 | mode, data: Buffer.from(data as Uint8Array) });
  };
  file("bin/busybox", 0o755, readFileSync(busybox));
  const ordered = inLoadingOrder(modules.map((module) => ({ name: basename(module), data: readFileSync(module) })));
  for (const { name, data } of ordered) file(`lib/mod/${name}`, 0o644, data);
  file("modules.list", 0o644, ordered.map(({ name }) => `${name}\n`).join(""));
  for (const { name, from } of extra) file(name, 0o755, readFileSync(from));
  file("init", 0o755, INIT);
  file("lib/agent.sh", 0o644, AGENT);
  file("lib/lab.sh", 0o644, LAB);
  file("etc/welcome", 0o644, WELCOME);
  file("etc/profile", 0o644, LAB);
  writeFileSync(`${path}.${process.pid}`, encodeCpio(entries));
  renameSync(`${path}.${process.pid}`, path);
  return path;
}

interface Module {
  name: string;
  data: Buffer;
}

/** Names of the modules that a module's "depends=" asks for. */
export function dependencies(data: Buffer): string[] {
  const at = data.indexOf("\0depends=");
  if (at < 0) return [];
  const names = data.toString("latin1", at + 9, data.indexOf(0, at + 1)).split(",");
  return names.filter((name) => name !== "");
}

/** Orders modules so that each stands after those that its "depends=" names. */
export function inLoadingOrder(modules: readonly Module[]): Module[] {
  const done: Module[] = [];
  const seen = new Set<Module>();
  const visit = (module: Module): void => {
    if (seen.has(module)) return;
    seen.add(module);
    for (const name of dependencies(module.data)) {
      const other = modules.find((one) => one.name.replaceAll("-", "_") === `${name.replaceAll("-", "_")}.ko`);
      if (other !== undefined) visit(other);
    }
    done.push(module);
  };
  for (const module of [...modules].sort((a, b) => a.name.localeCompare(b.name))) visit(module);
  return done;
}
