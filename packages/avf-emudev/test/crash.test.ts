// state= with real processes: testpmd forwards between two emulated AVFs, and is stopped in order or killed under traffic and
// started again, while two drivers count packets. In order: each number comes once, in order. Killed at any instant: each comes
// at least once, and no more than a burst of them twice. EMUDEV_CRASHES=SIGKILL,SIGKILL,... asks for more, and EMUDEV_SEED for
// other instants.
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { getAffinity } from "@emudev/linux";
import { afterAll, afterEach, expect, test } from "vitest";
import { endEal, makeRig, socketPath } from "./support/device-rig.ts";
import { until } from "./support/guest-driver.ts";
import { Peer, RX_SIZE } from "./support/peer.ts";

const SEED = Number(process.env.EMUDEV_SEED ?? 5);
const TESTPMD = fileURLToPath(new URL("../../../apps/testpmd/dist/main.js", import.meta.url));
const BURST = 32;
const WINDOW = RX_SIZE / 2; // packets on their way: the receiver always has room
const HOWS = (process.env.EMUDEV_CRASHES?.split(",") ?? ["SIGKILL", "SIGTERM"]) as ("quit" | "SIGKILL" | "SIGTERM")[];
const cpus = getAffinity();
const files = [0, 1].map(() => ({ socket: socketPath(), state: socketPath() }));
const ends: (() => void)[] = [];
let random = SEED;
const nextRandom = (n: number): number => {
  random = (Math.imul(random, 1664525) + 1013904223) >>> 0;
  return (random >>> 8) % n;
};

afterEach(() => {
  for (const end of ends.splice(0)) end();
});
afterAll(endEal);

/** A testpmd between the two devices; its prompt is awaited by whoever connects. */
function server(): { child: ChildProcess; exit: Promise<number | null>; errors: () => string } {
  const vdevs = files.flatMap(({ socket, state }, id) => [
    `--vdev=emu_iavf${id},path=${socket},id=${id},state=${state}`,
    `--vdev=net_avfbe${id},id=${id},avf_emu_id=${id}`,
  ]);
  const lcores = `0@${cpus[0]},1@${cpus.at(-1)}`;
  const eal = ["--in-memory", "-m", "128", "--log-level", "warning", "--lcores", lcores, ...vdevs];
  const app = ["-i", "--auto-start", "--forward-mode=io", `--burst=${BURST}`];
  const child = spawn(process.execPath, [TESTPMD, ...eal, "--", ...app], { stdio: ["pipe", "ignore", "pipe"] });
  let text = "";
  child.stderr!.setEncoding("utf8").on("data", (part: string) => {
    text += part;
  });
  const exit = new Promise<number | null>((resolve) => child.once("close", resolve));
  ends.push(() => {
    if (child.exitCode === null) child.kill("SIGKILL");
  });
  return { child, exit, errors: () => text };
}

/** Waits for a server to listen. */
async function connect(peer: Peer, path: string): Promise<void> {
  for (const end = Date.now() + 20_000; ; ) {
    try {
      await peer.connect(path);
      return;
    } catch (error) {
      if (Date.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

class Traffic {
  readonly sender = new Peer();
  readonly receiver = new Peer();
  /** How often each number has come. */
  readonly #came: number[] = [];
  #sent = 0;
  #highest = -1;
  /** Packets that had come before. */
  repeats = 0;

  async bringUp(): Promise<void> {
    for (const [i, peer] of [this.receiver, this.sender].entries()) {
      await connect(peer, files[1 - i]!.socket);
      await peer.bringUp();
      ends.push(() => peer.close());
    }
  }

  /** The receiver first: what is forwarded to a port without a driver is dropped. */
  async resume(): Promise<void> {
    for (const [i, peer] of [this.receiver, this.sender].entries()) {
      await connect(peer, files[1 - i]!.socket);
      expect(await peer.resume()).toBe(true);
    }
  }

  /** Sends and takes until the server is gone, or `enough` says so. `sent` is called when packets are on their way. */
  async run(enough: () => boolean, sent = () => {}): Promise<void> {
    while (!enough()) {
      const room = WINDOW - (this.#sent - 1 - this.#highest);
      this.#sent += await this.sender.send(this.#sent, Math.min(room, 1 + nextRandom(100)));
      sent();
      await this.#take();
      await new Promise(setImmediate);
    }
  }

  /** Takes until everything has come. */
  async settle(): Promise<void> {
    await until(async () => {
      await this.#take();
      return this.#highest === this.#sent - 1 && this.sender.idle;
    }, "packets or descriptors are missing");
    await this.#take();
  }

  get sent(): number {
    return this.#sent;
  }

  /** Numbers that have not come. */
  get missing(): number[] {
    return Array.from({ length: this.#sent }, (_, i) => i).filter((number) => this.#came[number] === undefined);
  }

  async #take(): Promise<void> {
    for (const number of await this.receiver.take()) {
      const before = this.#came[number] ?? 0;
      if (before > 0) this.repeats++;
      else if (number !== this.#highest + 1) throw new Error(`number ${number} came behind ${this.#highest}`);
      this.#came[number] = before + 1;
      this.#highest = Math.max(this.#highest, number);
    }
  }
}

/** The server went away in the middle of something. */
const isLoss = (error: Error): void => expect(error.message).toMatch(/closed|left|EPIPE|ECONNRESET/i);

test("stopped in order or killed under traffic, and started again", async () => {
  const traffic = new Traffic();
  let running = server();
  await traffic.bringUp();
  const [{ state }] = files as [(typeof files)[0]];
  const locked = await makeRig(`,state=${state}`).catch((error: Error) => error);
  expect((locked as Error).cause ?? locked).toMatchObject({ code: "STATE_LOCKED" });
  for (const how of HOWS) {
    const { repeats, sent } = traffic;
    const many = sent + 500 + nextRandom(3000);
    let gone = false;
    void running.exit.then(() => {
      gone = true;
    });
    let asked = false;
    const strike = (): void => {
      if (asked || traffic.sent < many) return;
      asked = true;
      for (const at = process.hrtime.bigint() + BigInt(nextRandom(300_000)); process.hrtime.bigint() < at; );
      if (how === "quit") running.child.stdin!.end("quit\n");
      else running.child.kill(how);
    };
    await traffic.run(() => gone, strike).catch(isLoss);
    expect(await running.exit, running.errors()).toBe(how === "SIGKILL" ? null : 0);
    running = server();
    await traffic.resume();
    await traffic.settle();
    // What comes again is the end of what came before.
    expect(traffic.repeats - repeats).toBeLessThanOrEqual(how === "SIGKILL" ? BURST : 0);
  }
  expect(traffic.missing).toEqual([]);

  // Another program takes the device over, and a driver that resets it begins anew.
  const { sender } = traffic;
  running.child.kill("SIGKILL");
  await running.exit;
  const rig = await makeRig(`,state=${state}`);
  await sender.connect(rig.path);
  expect(await sender.resume()).toBe(true);
  await sender.client.reset();
  expect(await sender.resume()).toBe(false);
  sender.client.close();
  await rig.end();
}, 120_000);
