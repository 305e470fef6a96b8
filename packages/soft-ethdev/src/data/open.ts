// What lcores import of a soft port: its queues, by the kind that the control side wrote into their state.
import type { LcoreEnv } from "@emudev/eal/data";
import type { RxQueue, TxQueue } from "@emudev/ethdev/data";
import { KIND_NULL, KIND_PCAP, KIND_RING, KIND_TAP, SQ_KIND } from "../layout/queue.ts";
import { openNullRx, openNullTx } from "./null.ts";
import { openPcapRx, openPcapTx } from "./pcap.ts";
import { openRingRx, openRingTx } from "./ring.ts";
import { openTapRx, openTapTx } from "./tap.ts";

const RX = { [KIND_NULL]: openNullRx, [KIND_RING]: openRingRx, [KIND_PCAP]: openPcapRx, [KIND_TAP]: openTapRx };
const TX = { [KIND_NULL]: openNullTx, [KIND_RING]: openRingTx, [KIND_PCAP]: openPcapTx, [KIND_TAP]: openTapTx };

const kindOf = ({ arena }: LcoreEnv, off: number): keyof typeof RX =>
  arena.u32[(off + SQ_KIND) >>> 2]! as keyof typeof RX;

export const openRxQueue = (env: LcoreEnv, off: number, portId: number): RxQueue =>
  RX[kindOf(env, off)](env, off, portId);
export const openTxQueue = (env: LcoreEnv, off: number, portId: number): TxQueue =>
  TX[kindOf(env, off)](env, off, portId);
