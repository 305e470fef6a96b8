// What the tests of this package share: an environment with the four drivers and one lcore, ports that are set up,
// bursts from the test's own thread, which is the main lcore, and a search for what a port may have left behind.
import { createHash } from "node:crypto";
import { readdirSync, readlinkSync } from "node:fs";
import { type Eal, ealInit } from "@emudev/eal";
import { makeLcoreEnv } from "@emudev/eal/data";
import { type EthDev, ethDevByName } from "@emudev/ethdev";
import { openPort, type RxQueue, type TxQueue } from "@emudev/ethdev/data";
import { getAffinity } from "@emudev/linux";
import { Mempool, mbufBytes, mbufFree, mbufFrom } from "@emudev/shm";
import { drivers } from "../src/index.ts";

export const tasks = new URL("./lcore-tasks.mjs", import.meta.url).href;
export const WORKER = 1;

export interface Bench {
  env: Eal;
  pool: Mempool;
  lines: string[];
}

export async function makeBench(dataRoomSize = 2176): Promise<Bench> {
  const lines: string[] = [];
  const cpus = getAffinity();
  const argv = ["--in-memory", "-m", "96", "--lcores", `0@${cpus[0]},${WORKER}@${cpus.at(-1)}`];
  const env = await ealInit(argv, { drivers, logWrite: (line) => lines.push(line) });
  return { env, pool: Mempool.createPktmbuf(env.arena, "pool", { n: 511, cacheSize: 32, dataRoomSize }), lines };
}

/** Attaches a device and starts its port with `queues` pairs. */
export async function startPort(
  { env, pool }: Bench,
  devargs: string,
  queues = 1,
  from: Mempool = pool,
): Promise<EthDev> {
  const { name } = await env.vdev.attach(devargs);
  const dev = ethDevByName(name)!;
  await dev.configure(queues, queues);
  for (let queue = 0; queue < queues; queue++) {
    await dev.rxQueueSetup(queue, 0, from);
    await dev.txQueueSetup(queue, 0);
  }
  await dev.start();
  return dev;
}

/** One queue pair, used from the test's thread with packets as bytes. */
export class Hand {
  readonly #bench: Bench;
  readonly #rx: RxQueue;
  readonly #tx: TxQueue;
  readonly #pkts: number;

  static async on(bench: Bench, dev: EthDev, queue = 0): Promise<Hand> {
    const { arena, qsbr, lcores } = bench.env;
    const env = makeLcoreEnv(arena, qsbr, lcores.main.id, 0, lcores.main.off);
    const { rx, tx } = await openPort(env, dev.dataPort());
    return new Hand(bench, rx[queue]!, tx[queue]!, env.scratch);
  }

  private constructor(bench: Bench, rx: RxQueue, tx: TxQueue, pkts: number) {
    this.#bench = bench;
    this.#rx = rx;
    this.#tx = tx;
    this.#pkts = pkts;
  }

  /** Receives up to `n` packets and frees them, once `look` has seen each mbuf. */
  receive(n = 32, look: (mbuf: number) => void = () => {}): Uint8Array[] {
    const { arena } = this.#bench.env;
    const got = this.#rx.burst(this.#pkts, n);
    return Array.from({ length: got }, (_, i) => {
      const mbuf = arena.u32[(this.#pkts >>> 2) + i]!;
      look(mbuf);
      const bytes = mbufBytes(arena, mbuf);
      mbufFree(arena, 0, mbuf);
      return bytes;
    });
  }

  /** Sends; returns how many were taken, and frees the rest. */
  send(packets: readonly Uint8Array[]): number {
    const { env, pool } = this.#bench;
    const mbufs = packets.map((bytes) => mbufFrom(pool, 0, bytes));
    if (mbufs.includes(0)) throw new Error("the test's pool is exhausted");
    env.arena.u32.set(mbufs, this.#pkts >>> 2);
    const sent = this.#tx.burst(this.#pkts, mbufs.length);
    for (const mbuf of mbufs.slice(sent)) mbufFree(env.arena, 0, mbuf);
    return sent;
  }
}

/** Resolves when the condition holds; the test's own time limit is the only one. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}

/** What a port could leave behind: open files, memzones, mbufs that are out of the pool. */
export function holdings({ env, pool }: Bench): { files: string[]; zones: number; mbufs: number } {
  const names = readdirSync("/proc/self/fd").map((fd) => readlink(`/proc/self/fd/${fd}`));
  // Node and the test runner open files of their own at any time; those of ports lie in these places.
  const files = names.filter((name) => /^\/tmp\/soft-ethdev|^\/dev\/(net\/tun|full)|^socket/.test(name));
  return { files, zones: env.arena.memzones().length, mbufs: pool.inUseCount() };
}

function readlink(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return ""; // closed in the meantime
  }
}

/** Packets in a form that is quick to compare and to read in a failure: length and hash of each. */
export const keys = (packets: readonly Uint8Array[]): string[] =>
  packets.map((bytes) => `${bytes.length}:${createHash("sha1").update(bytes).digest("hex")}`);

export const frame = (length: number, seed = 0): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (i * 31 + seed * 7 + (i >> 8)) & 0xff);
