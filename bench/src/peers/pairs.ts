// The pairs that are compared: two testpmds, one process on each CPU, one sending and one receiving. DPDK's over vhost and
// virtio_user and over memif, ours over vfio-user; same console options for all. Used by bench.ts.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const TESTPMD = fileURLToPath(new URL("../../../apps/testpmd/dist/main.js", import.meta.url));
const DPDK = "dpdk-testpmd";
const MBUFS = 16_384;
const DESCRIPTORS = 1024;

/** How one side of a pair is started. */
export interface Side {
  command: string;
  args: string[];
}

export interface Pair {
  name: string;
  /** The side that listens is started first; `sends` tells which of the two makes the packets. */
  server: Side;
  client: Side;
  sends: "server" | "client";
}

/** Why DPDK cannot be measured here, or undefined. */
export function dpdkMissing(): string | undefined {
  if (spawnSync(DPDK, ["--version"]).error !== undefined) return `${DPDK} is not installed (apt-get install dpdk-dev)`;
  if (process.getuid?.() !== 0) return "reserving huge pages for DPDK needs root";
  return existsSync("/sys/kernel/mm/hugepages/hugepages-2048kB") ? undefined : "there are no 2 MiB huge pages here";
}

/**
 * All pairs for packets of `size` bytes without CRC.
 * @param cpus the CPU of the server and that of the client
 * @param folder where sockets lie
 */
export function pairs(size: number, cpus: readonly [number, number], folder: string): Pair[] {
  const dpdk = (index: 0 | 1, vdev: string, sends: boolean): Side => dpdkArgs(cpus[index], vdev, app(size, sends));
  const ours = (index: 0 | 1, vdevs: string[], sends: boolean, eal: string[] = []): Side =>
    oursArgs(cpus[index], vdevs, app(size, sends), eal);
  const list: Pair[] = [];
  for (const sends of ["client", "server"] as const) {
    const [server, client] = [sends === "server", sends === "client"];
    const way = server ? "to-guest" : "from-guest";
    const vhost = `${folder}/vhost-${size}-${way}`;
    const memif = `${folder}/memif-${size}-${way}`;
    const avf = `${folder}/avf-${size}-${way}`;
    list.push(
      {
        name: `vfio-user/${way}`,
        server: ours(0, [`emu_iavf0,path=${avf},id=0`, "net_avfbe0,id=0,avf_emu_id=0"], server),
        client: ours(1, [`net_iavf0,path=${avf}`], client),
        sends,
      },
      {
        name: `vfio-user-4k/${way}`,
        server: ours(0, [`emu_iavf0,path=${avf}-4k,id=0`, "net_avfbe0,id=0,avf_emu_id=0"], server, ["--no-huge"]),
        client: ours(1, [`net_iavf0,path=${avf}-4k`], client, ["--no-huge"]),
        sends,
      },
      {
        name: `vhost/${way}`,
        server: dpdk(0, `net_vhost0,iface=${vhost}`, server),
        client: dpdk(1, `net_virtio_user0,path=${vhost},queue_size=${DESCRIPTORS}`, client),
        sends,
      },
    );
    if (client)
      list.push({
        name: "memif",
        server: dpdk(0, `net_memif0,role=server,socket=${memif},socket-abstract=no`, false),
        client: dpdk(1, `net_memif0,role=client,socket=${memif},socket-abstract=no,zero-copy=no`, true),
        sends,
      });
  }
  return list;
}

/** DPDK's testpmd with both its lcores on one CPU. */
export function dpdkArgs(cpu: number, vdev: string | readonly string[], app: readonly string[]): Side {
  const vdevs = [vdev].flat().map((device) => `--vdev=${device}`);
  const memory = ["--single-file-segments", "--in-memory", "-m", "256"];
  const eal = ["--lcores", `0@${cpu},1@${cpu}`, "--no-pci", "--no-telemetry", ...memory, ...vdevs];
  // DPDK's printf would keep its answers in a buffer.
  return { command: "stdbuf", args: ["-oL", DPDK, ...eal, "--", ...app] };
}

/** Ours, likewise; `more` are further EAL options. */
export function oursArgs(
  cpu: number,
  vdevs: readonly string[],
  app: readonly string[],
  more: readonly string[] = [],
): Side {
  const eal = ["--lcores", `0@${cpu},1@${cpu}`, "--in-memory", "--poll-mode=busy", ...vdevs.map((v) => `--vdev=${v}`)];
  return { command: process.execPath, args: [TESTPMD, ...eal, ...more, "--", ...app] };
}

function app(size: number, sends: boolean): string[] {
  return [
    ...["-i", `--forward-mode=${sends ? "txonly" : "rxonly"}`, `--txpkts=${size}`],
    ...[`--total-num-mbufs=${MBUFS}`, `--rxd=${DESCRIPTORS}`, `--txd=${DESCRIPTORS}`],
  ];
}
