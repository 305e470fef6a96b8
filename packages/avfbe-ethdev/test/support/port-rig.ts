// A process with an EAL and one polling lcore, and ports of fake guests on it: for tests of the whole driver.
import { setTimeout as sleep } from "node:timers/promises";
import { type Eal, ealInit } from "@emudev/eal";
import { type EthDev, ethDevByName } from "@emudev/ethdev";
import { Mempool } from "@emudev/shm";
import { drivers } from "../../src/index.ts";
import { FakeGuest, type GuestOptions } from "./world.ts";

export async function until(done: () => boolean): Promise<void> {
  for (let i = 0; !done(); i++) {
    if (i > 5000) throw new Error("it did not happen within 5 s");
    await sleep(1);
  }
}

export class PortRig {
  readonly env: Eal;
  readonly pool: Mempool;
  /** Log lines so far. */
  readonly lines: string[];
  readonly #pkts: number;
  readonly #ports = new Map<FakeGuest, EthDev>();

  static async make(): Promise<PortRig> {
    const lines: string[] = [];
    const argv = ["--in-memory", "--lcores", "0@0,1@0"];
    return new PortRig(await ealInit(argv, { drivers, logWrite: (line) => lines.push(line) }), lines);
  }

  private constructor(env: Eal, lines: string[]) {
    this.env = env;
    this.lines = lines;
    this.pool = Mempool.createPktmbuf(env.arena, "port", { n: 1023 });
    this.#pkts = env.arena.memzoneReserve("pkts", 256).off;
  }

  /** A guest, and port `net_avfbe<index>` in front of it. */
  async attach(index: number, options?: GuestOptions): Promise<{ guest: FakeGuest; port: EthDev }> {
    const guest = new FakeGuest(this.env.arena, this.env.qsbr, options);
    await this.env.vdev.attach(`net_avfbe${index},id=${index},avf_emu_id=${guest.dev.id}`);
    const port = ethDevByName(`net_avfbe${index}`)!;
    this.#ports.set(guest, port);
    return { guest, port };
  }

  portOf(guest: FakeGuest): EthDev {
    return this.#ports.get(guest)!;
  }

  /**
   * Runs `body` while the lcore sends back what the port receives, or each of several ports. Returns what the lcore moved.
   * @param drop what a port does not take is dropped, else it is offered again
   */
  async echo(
    port: EthDev | readonly EthDev[],
    queues: number,
    body: () => Promise<void>,
    drop = false,
  ): Promise<{ received: number; sent: number; dropped?: number }> {
    const all = [port].flat() as EthDev[];
    for (const one of all) {
      await one.configure(queues, queues);
      for (let queue = 0; queue < queues; queue++) {
        await one.rxQueueSetup(queue, 0, this.pool);
        await one.txQueueSetup(queue, 0);
      }
      await one.start();
    }
    const module = new URL("./echo-lcore.mjs", import.meta.url).href;
    const ports = all.map((one) => one.dataPort());
    const done = this.env.lcores.launch(1, { module, arg: { ports, pkts: this.#pkts, drop } });
    try {
      await body();
    } finally {
      this.env.lcores.stop(1);
    }
    const counts = (await done) as { received: number; sent: number; dropped?: number };
    for (const one of all) await one.stop();
    return counts;
  }
}
