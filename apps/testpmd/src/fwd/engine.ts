// What a forwarding lcore runs: it opens its streams by their drivers' data modules, then polls all of them every turn until
// it is told to stop. Launched by ../control/forwarding.ts.
import { type LcoreEnv, pollLoop } from "@emudev/eal/data";
import { type DriverDataModule, importDriver, type RxQueue, type TxQueue } from "@emudev/ethdev/data";
import { FWD_LIVE, STREAM_OWNER } from "../layout/stream.ts";
import { Holdings } from "./holdings.ts";
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
  const open = await opener(env, task);
  const owned = (stream: StreamTask): boolean =>
    !task.shared || Atomics.load(env.arena.i32, (stream.off + STREAM_OWNER) >>> 2) === env.index;
  const mode = MODES[task.mode];
  const holdings = task.shared ? new Holdings(env, task, (piece) => withStep(open(piece), mode)) : null;
  const streams = holdings === null || task.txFirst > 0 ? task.streams.filter(owned).map(open) : [];
  const turn = holdings?.turn ?? together(streams.map(mode));
  const live = (task.block + FWD_LIVE) >>> 2;
  let counted = false;
  const go = (): void => {
    counted = true;
    Atomics.add(env.arena.i32, live, 1);
  };
  try {
    if (task.txFirst === 0) go();
    const turns = task.txFirst === 0 ? turn : after(task.txFirst, together(streams.map(txonly)), go, turn);
    pollLoop(env, turns, () => holdings?.announced() ?? streams.every((stream) => stream.announced()));
  } finally {
    if (counted) Atomics.sub(env.arena.i32, live, 1);
  }
}

const withStep = (stream: Stream, mode: FwdMode): { stream: Stream; step: Step } => ({ stream, step: mode(stream) });

/** Loads the drivers of all streams, so that each can then be opened at once. */
async function opener(env: LcoreEnv, task: FwdTask): Promise<(stream: StreamTask) => Stream> {
  const drivers = new Map<string, DriverDataModule>();
  for (const { rx, tx, copies } of task.streams)
    for (const queue of [rx, tx, ...copies])
      if (queue !== null && !drivers.has(queue.module)) drivers.set(queue.module, await importDriver(queue.module));
  const openTx = ({ module, off, portId, queueId }: QueueRef): TxQueue =>
    drivers.get(module)!.openTxQueue(env, off, portId, queueId);
  return (stream) => {
    const { rx, tx, copies } = stream;
    const rxQueue = rx && drivers.get(rx.module)!.openRxQueue(env, rx.off, rx.portId, rx.queueId);
    return new Stream(env, task, stream, rxQueue ?? NO_RX, tx === null ? NO_TX : openTx(tx), copies.map(openTx));
  };
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
