// A process with many devices, and the guest whose traffic is measured: testpmds of ours with 4 queues a device, the first
// receiving on one lcore what the second sends to device 0. Also what the process costs, as the kernel and it tell. Used by
// bench.ts.
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { TESTPMD } from "../peers/pairs.ts";
import { Testpmd } from "../peers/testpmd.ts";

const QUEUES = 4;
const LINK_MS = 20_000;
const MIB = 2 ** 20;

/** What a process costs when all its ports are started. */
export interface Cost {
  /** Milliseconds from its start to its prompt. */
  startMs: number;
  /** MiB that are resident, those of the arena included. */
  rss: number;
  /** MiB of memzones in the arena. */
  arena: number;
  fds: number;
}

/** Packets a second, and the polling lcore's own time for each: a sender that gets no CPU makes the first worse, not the second. */
export interface Rate {
  perSecond: number;
  nsPerPacket: number;
}

export class DeviceProcess {
  readonly #devices: Testpmd;
  readonly folder: string;
  readonly startMs: number;
  #guest: Testpmd | null = null;

  private constructor(devices: Testpmd, folder: string, startMs: number) {
    this.#devices = devices;
    this.folder = folder;
    this.startMs = startMs;
  }

  /** @param cpus of the polling lcore, and of everything else */
  static async start(count: number, folder: string, cpus: readonly [number, number]): Promise<DeviceProcess> {
    const vdevs = Array.from({ length: count }, (_, i) => [
      `--vdev=emu_iavf${i},id=${i},path=${folder}/s${i},queues=${QUEUES}`,
      `--vdev=net_avfbe${i},id=${i},avf_emu_id=${i}`,
    ]).flat();
    const eal = ["--lcores", `0@${cpus[1]},1@${cpus[0]}`, "--in-memory", "--poll-mode=busy", "--log-level=error"];
    const app = ["-i", "--forward-mode=rxonly", `--rxq=${QUEUES}`, `--txq=${QUEUES}`, "--record-core-cycles"];
    const begun = performance.now();
    const devices = new Testpmd(process.execPath, [TESTPMD, ...eal, ...vdevs, "--", ...app]);
    await devices.ready();
    return new DeviceProcess(devices, folder, performance.now() - begun);
  }

  async cost(): Promise<Cost> {
    const { pid } = this.#devices;
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    const rss = Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? Number.NaN) / 1024;
    const zones = (await this.#devices.ask("dump_memzone")).matchAll(/len:0x([0-9a-f]+)/g);
    const arena = [...zones].reduce((sum, [, bytes]) => sum + Number.parseInt(bytes!, 16), 0) / MIB;
    return { startMs: this.startMs, rss, arena, fds: readdirSync(`/proc/${pid}/fd`).length };
  }

  /** Connects the guest that sends. @param bytes of a packet without CRC */
  async connect(cpu: number, bytes: number): Promise<void> {
    const eal = ["--lcores", `0@${cpu},1@${cpu}`, "--in-memory", "--poll-mode=busy", "--log-level=error"];
    const vdev = `--vdev=net_iavf0,path=${this.folder}/s0`;
    const app = ["-i", "--forward-mode=txonly", `--txpkts=${bytes}`, `--rxq=${QUEUES}`, `--txq=${QUEUES}`];
    const pool = ["--total-num-mbufs=16384", "--rxd=512", "--txd=512"];
    const guest = new Testpmd(process.execPath, [TESTPMD, ...eal, vdev, "--", ...app, ...pool]);
    this.#guest = guest;
    await guest.ready();
    for (const end = performance.now() + LINK_MS; performance.now() < end; await sleep(50))
      if (await guest.linkUp()) return;
    throw new Error("the link does not come up");
  }

  async disconnect(): Promise<void> {
    await this.#guest?.quit();
    this.#guest = null;
  }

  /** How device 0 receives while its guest sends as fast as it can; nothing polls before and after. */
  async rate(settleMs: number, measureMs: number): Promise<Rate> {
    const guest = this.#guest!;
    await this.#devices.ask("start");
    await guest.ask("start");
    try {
      await sleep(settleMs);
      const [sent, got] = [await guest.stats(), await this.#devices.stats()];
      await sleep(measureMs);
      const [gotAfter, sentAfter] = [await this.#devices.stats(), await guest.stats()];
      const received = gotAfter.rx - got.rx;
      // Read around the receiver's stretch, the sender's is longer; a full ring a queue may lie between the two.
      if (!(received > 0) || received > sentAfter.tx - sent.tx + 4096)
        throw new Error(`${received} received of ${sentAfter.tx - sent.tx}; the figure would mean nothing`);
      const lcore = /^ *1 .* (\S+) +\S+$/m.exec(await this.#devices.ask("show lcore usage"));
      const nsPerPacket = Number(lcore?.[1] ?? Number.NaN);
      if (!(nsPerPacket > 0)) throw new Error("the lcore does not tell the time of a packet");
      return { perSecond: (1000 * received) / (gotAfter.at - got.at), nsPerPacket };
    } finally {
      await guest.ask("stop");
      await this.#devices.ask("stop");
    }
  }

  async quit(): Promise<void> {
    await this.disconnect();
    await this.#devices.quit();
  }
}
