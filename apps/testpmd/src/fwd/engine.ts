// What a forwarding lcore runs: it opens its streams by their drivers' data modules, then polls all of them every turn until
// it is told to stop. Launched by ../control/forwarding.ts.
import { type LcoreEnv, pollLoop } from "@emudev/eal/data";
import { importDriver, type RxQueue, type TxQueue } from "@emudev/ethdev/data";
import { FWD_LIVE } from "../layout/stream.ts";
import { icmpecho } from "./icmpecho.ts";
import { io } from "./io.ts";
import { mac } from "./mac.ts";
import { macswap } from "./macswap.ts";
import type { FwdModeName } from "./modes.ts";
import { rxonly } from "./rxonly.ts";
import { Schedule, type Step } from "./schedule.ts";
import { type FwdMode, Stream } from "./stream.ts";
import type { FwdTask, QueueRef, StreamTask } from "./task.ts";
import { txonly } from "./txonly.ts";

const MODES: Record<FwdModeName, FwdMode> = { io, flood: io, mac, macswap, rxonly, txonly, icmpecho };

const NO_RX: RxQueue = { burst: () => 0 };
const NO_TX: TxQueue = { burst: () => 0 };

/** The lcore's main function. */
export async function main(env: LcoreEnv, task: FwdTask): Promise<void> {
  const streams: Stream[] = [];
  for (const stream of task.streams) streams.push(await open(env, task, stream));
  const turn = together(streams.map(MODES[task.mode]));
  const live = (task.block + FWD_LIVE) >>> 2;
  let counted = false;
  const go = (): void => {
    counted = true;
    Atomics.add(env.arena.i32, live, 1);
  };
  try {
    if (task.txFirst === 0) go();
    const turns = task.txFirst === 0 ? turn : after(task.txFirst, together(streams.map(txonly)), go, turn);
    pollLoop(env, turns, () => streams.every((stream) => stream.announced()));
  } finally {
    if (counted) Atomics.sub(env.arena.i32, live, 1);
  }
}

async function open(env: LcoreEnv, task: FwdTask, stream: StreamTask): Promise<Stream> {
  const { rx, tx, copies } = stream;
  const openTx = async ({ module, off, portId, queueId }: QueueRef): Promise<TxQueue> =>
    (await importDriver(module)).openTxQueue(env, off, portId, queueId);
  const rxQueue = rx && (await importDriver(rx.module)).openRxQueue(env, rx.off, rx.portId, rx.queueId);
  const txQueue = tx && (await openTx(tx));
  return new Stream(env, task, stream, rxQueue ?? NO_RX, txQueue ?? NO_TX, await Promise.all(copies.map(openTx)));
}

/** One turn of several streams. */
function together(steps: readonly Step[]): Step {
  return steps.length === 1 ? steps[0]! : new Schedule(steps).turn;
}

/** `first` for some turns, `go` once, then `then` for ever. Inside the loop, since drivers may be called nowhere else. */
function after(turns: number, first: () => number, go: () => void, then: () => number): () => number {
  let left = turns;
  return () => {
    if (left === 0) return then();
    const moved = first();
    if (--left === 0) go();
    return moved;
  };
}
