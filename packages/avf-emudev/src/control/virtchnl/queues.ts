// virtchnl CONFIG_VSI_QUEUES, CONFIG_IRQ_MAP, ENABLE_QUEUES and DISABLE_QUEUES. Configuring and enabling set the device's heads
// to 0 and leave the tails alone: drivers write tails before (Linux fills its receive rings and rings the doorbell first).
// DISABLE is answered when no lcore touches the queues any longer.
import {
  type IrqMap,
  irqMapCodec,
  type QueueSelect,
  queueSelectCodec,
  rxQueueNumber,
  txQueueNumber,
  vsiQueueConfigCodec,
} from "@emudev/avf";
import { queueOf, type Vf, VSI_ID } from "../vf.ts";
import { type Handler, INVALID, OK, type Reply, take, type VirtchnlContext } from "./context.ts";

export const configVsiQueues: Handler = async (context, data): Promise<Reply> => {
  const { vf } = context;
  const config = take(vsiQueueConfigCodec, data);
  if (config === null) return INVALID;
  for (const { tx, rx } of config.pairs) {
    if (rx.queueId >= vf.rx.length || (rx.ringLen === 0 && tx.ringLen === 0)) return INVALID;
  }
  // A driver that took over from one that crashed (kexec) finds queues enabled that it knows nothing of.
  const touched = config.pairs.flatMap(({ rx }) => [rxQueueNumber(rx.queueId), txQueueNumber(rx.queueId)]);
  await disable(context, touched);
  for (const { tx, rx } of config.pairs) {
    // A driver that uses one half of a pair leaves the other's ring length 0.
    if (rx.ringLen > 0) vf.rx[rx.queueId]!.info = { ...rx, maxPktSize: Math.min(rx.maxPktSize, context.frameMax) };
    if (tx.ringLen > 0) vf.tx[tx.queueId]!.info = tx;
  }
  return OK;
};

export const configIrqMap: Handler = (context, data): Reply => {
  const { vf, vectors } = context;
  const map = take(irqMapCodec, data);
  if (map === null || !mapFits(map, vf, vectors)) return INVALID;
  for (const { vectorId, rxqMap, txqMap, rxitrIdx, txitrIdx } of map.vectors) {
    if (vectorId === 0) continue;
    for (let pair = 0; pair < vf.rx.length; pair++) {
      if (((rxqMap >>> pair) & 1) === 1) Object.assign(vf.rx[pair]!, { vector: vectorId, itr: rxitrIdx });
      if (((txqMap >>> pair) & 1) === 1) Object.assign(vf.tx[pair]!, { vector: vectorId, itr: txitrIdx });
    }
  }
  context.vectorsMapped();
  return OK;
};

function mapFits({ vectors: maps }: IrqMap, vf: Vf, vectors: number): boolean {
  return maps.every(
    (map) => map.vsiId === VSI_ID && map.vectorId < vectors && (map.rxqMap | map.txqMap) >>> vf.rx.length === 0,
  );
}

export const enableQueues: Handler = async (context, data): Promise<Reply> => {
  const { vf } = context;
  const select = take(queueSelectCodec, data);
  const numbers = select === null ? null : numbersOf(select, vf);
  if (numbers === null || numbers.some((number) => queueOf(vf, number)!.info === null)) return INVALID;
  const fresh = numbers.filter((number) => !queueOf(vf, number)!.enabled);
  for (const number of fresh) queueOf(vf, number)!.enabled = true;
  await context.queuesEnabled(fresh);
  return { ...OK, after: () => context.queuesChanged() };
};

export const disableQueues: Handler = async (context, data): Promise<Reply> => {
  const { vf } = context;
  const select = take(queueSelectCodec, data);
  const numbers = select === null ? null : numbersOf(select, vf);
  if (numbers === null) return INVALID;
  await disable(context, numbers);
  if (context.vf === vf) context.clearTails(numbers);
  return { ...OK, after: () => context.queuesChanged() };
};

/** Takes those of the queues that are enabled from the backend. */
async function disable(context: VirtchnlContext, numbers: readonly number[]): Promise<void> {
  const { vf } = context;
  for (const number of numbers) queueOf(vf, number)!.resume = false;
  const running = numbers.filter((number) => queueOf(vf, number)!.enabled);
  for (const number of running) queueOf(vf, number)!.enabled = false;
  await context.queuesDisabled(running);
}

/** The queues of the two bitmaps as emudev numbers; null when one is beyond the last. */
function numbersOf(select: QueueSelect, vf: Vf): number[] | null {
  const pairs = vf.rx.length;
  if ((select.rxQueues | select.txQueues) >>> pairs !== 0) return null;
  const numbers: number[] = [];
  for (let pair = 0; pair < pairs; pair++) {
    if (((select.rxQueues >>> pair) & 1) === 1) numbers.push(2 * pair);
    if (((select.txQueues >>> pair) & 1) === 1) numbers.push(2 * pair + 1);
  }
  return numbers;
}
