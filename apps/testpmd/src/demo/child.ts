// One side of the demo, a process of its own: an environment with one polling lcore and one port, told what to do by the
// parent (main.ts). It ends when told, or when the parent is gone; then it also removes the socket's folder. Signals are the
// parent's business: a ^C on the terminal, or its end, reaches all three.
import { rmSync } from "node:fs";
import { drivers as emuIavf } from "@emudev/avf-emudev";
import { drivers as avfbe } from "@emudev/avfbe-ethdev";
import { type Eal, ealInit } from "@emudev/eal";
import { type EthDev, ethDevByName } from "@emudev/ethdev";
import { drivers as iavf } from "@emudev/iavf-ethdev";
import { type Arena, Mempool } from "@emudev/shm";
import { makeHead } from "../control/head.ts";
import * as L from "../layout/stream.ts";
import { type LoopArg, SEND, WAITING, WORDS_BYTES } from "./lcore.ts";
import type { Answer, Command, Counts, Setup } from "./messages.ts";

const LCORE = 1;
const POOL_MBUFS = 4096;

let setup: Setup | undefined;
let eal: Eal | undefined;
let port: EthDev | undefined;
let loop: LoopArg | undefined;
let ending = false;

const answer = (message: Answer): void => {
  if (process.connected) process.send!(message);
};

async function bringUp({ eal: argv, port: name, peer, bytes, burst }: Setup): Promise<void> {
  eal = await ealInit(argv, { drivers: [...emuIavf, ...avfbe, ...iavf] });
  const { arena } = eal;
  port = ethDevByName(name);
  if (port === undefined) throw new Error(`there is no port ${name}`);
  port.on("rmv", () => answer({ type: "event", text: "the device is gone" }));
  port.on("reset", () => answer({ type: "event", text: "the device has reset itself" }));
  await port.configure(1, 1);
  await port.rxQueueSetup(0, 0, Mempool.createPktmbuf(arena, "receive", { n: POOL_MBUFS }));
  await port.txQueueSetup(0, 0);
  await port.start();
  loop = makeLoop(arena, port, Uint8Array.from(peer), bytes, burst);
  eal.lcores.launch(LCORE, { module: new URL("./lcore.js", import.meta.url).href, arg: loop }).catch(fail);
  const mac = [...port.macAddrGet()].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
  answer({ type: "ready", mac });
}

function makeLoop(arena: Arena, dev: EthDev, peer: Uint8Array, bytes: number, burst: number): LoopArg {
  const { off: words } = arena.memzoneReserve("demo_words", WORDS_BYTES);
  const { off: block } = arena.memzoneReserve("fwd_block", L.FWD_BLOCK_BYTES);
  const { off: receive } = arena.memzoneReserve("fwd_streams", 2 * L.STREAM_BYTES);
  const send = receive + L.STREAM_BYTES;
  const pool = Mempool.createPktmbuf(arena, "send", { n: POOL_MBUFS }).off;
  const head = makeHead(peer, dev.macAddrGet(), bytes);
  arena.u32[(block + L.FWD_BURST) >>> 2] = burst;
  arena.u32[(send + L.STREAM_SEGS) >>> 2] = 1;
  arena.u16[(send + L.STREAM_SEG_LEN) >>> 1] = bytes;
  arena.u32[(send + L.STREAM_ZEROS) >>> 2] = 1; // nobody else uses the pool
  arena.u32[(send + L.STREAM_HEAD_LEN) >>> 2] = head.length;
  arena.u8.set(head, send + L.STREAM_HEAD);
  return { port: dev.dataPort(), words, block, receive, send, pool, burst };
}

function counts({ receive, send, words }: LoopArg): Counts {
  const { f64 } = eal!.arena;
  const at = (off: number): number => f64[off >>> 3]!;
  const stats = port!.statsGet();
  const link = port!.linkGet();
  return {
    at: performance.timeOrigin + performance.now(),
    linkMbps: link.up ? link.speedMbps : 0,
    handed: at(send + L.STREAM_TX),
    received: at(receive + L.STREAM_RX),
    receivedBytes: stats.ibytes,
    waiting: at(words + WAITING),
    outDrops: { oerrors: stats.oerrors },
    inDrops: { imissed: stats.imissed, ierrors: stats.ierrors },
    held: { "ring full (turns)": at(send + L.STREAM_RETRIES), "no mbuf (packets)": at(send + L.STREAM_NOMBUF) },
  };
}

function letSend(on: boolean): void {
  if (loop !== undefined) Atomics.store(eal!.arena.i32, (loop.words + SEND) >>> 2, on ? 1 : 0);
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
  letSend(false);
  await eal?.cleanup().catch((error) => console.error(error));
  process.exit(code);
}

// However it ends, also when it took too long.
process.on("exit", () => {
  if (!process.connected && setup !== undefined) rmSync(setup.folder, { recursive: true, force: true });
});

process.on("message", (message: Command) => {
  if (message.type === "setup") {
    setup = message;
    answer({ type: "loaded" });
  } else if (message.type === "up") bringUp(setup!).catch(fail);
  else if (message.type === "send") letSend(message.on);
  else if (message.type === "report") answer({ type: "counts", id: message.id, counts: counts(loop!) });
  else void quit(0);
});
process.on("disconnect", () => void quit(1));
process.on("SIGINT", () => {});
process.on("SIGHUP", () => {});
process.on("SIGTERM", () => void quit(1));
