// One side of the demo, a process of its own: an environment with one polling lcore and one port, told what to do by the
// parent (main.ts). It ends when told, or when the parent is gone; then it also removes the socket's folder. Signals are the
// parent's business: a ^C on the terminal reaches both.
import { rmSync } from "node:fs";
import { drivers as emuIavf } from "@emudev/avf-emudev";
import { drivers as avfbe } from "@emudev/avfbe-ethdev";
import { type Eal, ealInit } from "@emudev/eal";
import { type EthDev, ethDevByName } from "@emudev/ethdev";
import { drivers as iavf } from "@emudev/iavf-ethdev";
import { Mempool } from "@emudev/shm";
import { fillPool, makeFrame } from "./frame.ts";
import type { LoopArg } from "./lcore.ts";
import type { Answer, Command, Counts, Setup } from "./messages.ts";
import { WORDS } from "./words.ts";

const LCORE = 1;
const POOL_MBUFS = 4096;
const RING = 512;
const BROADCAST = new Uint8Array(6).fill(0xff);

let setup: Setup | undefined;
let eal: Eal | undefined;
let port: EthDev | undefined;
let words = 0;
let ending = false;

const answer = (message: Answer): void => {
  if (process.connected) process.send!(message);
};

async function bringUp({ eal: argv, port: name, bytes, burst }: Setup): Promise<void> {
  eal = await ealInit(argv, { drivers: [...emuIavf, ...avfbe, ...iavf] });
  const { arena } = eal;
  port = ethDevByName(name);
  if (port === undefined) throw new Error(`there is no port ${name}`);
  port.on("rmv", () => answer({ type: "event", text: "the device is gone" }));
  port.on("reset", () => answer({ type: "event", text: "the device has reset itself" }));
  const pool = Mempool.createPktmbuf(arena, "send", { n: POOL_MBUFS });
  fillPool(pool, makeFrame(bytes, BROADCAST, port.macAddrGet()));
  await port.configure(1, 1);
  await port.rxQueueSetup(0, RING, Mempool.createPktmbuf(arena, "receive", { n: POOL_MBUFS }));
  await port.txQueueSetup(0, RING);
  await port.start();
  words = arena.memzoneReserve("demo_words", WORDS.BYTES).off;
  const arg: LoopArg = { port: port.dataPort(), words, pool: pool.off, bytes, burst };
  eal.lcores.launch(LCORE, { module: new URL("./lcore.js", import.meta.url).href, arg }).catch(fail);
  const mac = [...port.macAddrGet()].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
  answer({ type: "ready", mac });
}

function counts(): Counts {
  const { f64 } = eal!.arena;
  const word = (field: number): number => f64[(words + field) >>> 3]!;
  const stats = port!.statsGet();
  const link = port!.linkGet();
  return {
    at: performance.timeOrigin + performance.now(),
    linkMbps: link.up ? link.speedMbps : 0,
    handed: word(WORDS.HANDED),
    received: word(WORDS.RECEIVED),
    receivedBytes: word(WORDS.RECEIVED_BYTES),
    waiting: word(WORDS.WAITING),
    outDrops: { oerrors: stats.oerrors },
    inDrops: { imissed: stats.imissed, ierrors: stats.ierrors },
    held: { "ring full (turns)": word(WORDS.FULL), "no buffer (packets)": word(WORDS.NO_BUFFER) },
  };
}

function fail(error: unknown): void {
  answer({ type: "failed", text: error instanceof Error ? error.message : String(error) });
  void quit(1);
}

async function quit(code: number): Promise<void> {
  if (ending) return;
  ending = true;
  // Whatever hangs: this process ends.
  setTimeout(() => process.exit(code), 2000).unref();
  if (eal !== undefined && words !== 0) Atomics.store(eal.arena.i32, (words + WORDS.SEND) >>> 2, 0);
  await eal?.cleanup().catch((error) => console.error(error));
  if (!process.connected && setup !== undefined) rmSync(setup.folder, { recursive: true, force: true });
  process.exit(code);
}

process.on("message", (message: Command) => {
  if (message.type === "setup") {
    setup = message;
    answer({ type: "loaded" });
  } else if (message.type === "up") bringUp(setup!).catch(fail);
  else if (message.type === "send") Atomics.store(eal!.arena.i32, (words + WORDS.SEND) >>> 2, message.on ? 1 : 0);
  else if (message.type === "report") answer({ type: "counts", id: message.id, counts: counts() });
  else void quit(0);
});
process.on("disconnect", () => void quit(1));
process.on("SIGINT", () => {});
process.on("SIGTERM", () => void quit(1));
