// The virtchnl requests of a port, each as one call: what the numbers of E.6 mean is known here and in the codecs alone.
import {
  decode,
  ETH_ADDR_EXTRA,
  ETH_ADDR_PRIMARY,
  encode,
  ethAddrListCodec,
  ITR_INDEX_NONE,
  irqMapCodec,
  PROMISC_MULTICAST,
  PROMISC_UNICAST,
  promiscCodec,
  type QueuePairInfo,
  queueSelectCodec,
  rssHenaCodec,
  rssKeyCodec,
  rssLutCodec,
  VIRTCHNL_OP,
  vlanListCodec,
  vsiQueueConfigCodec,
} from "@emudev/avf";
import type { Requester } from "./mailbox.ts";

/** Queues by bit. */
export interface QueueMask {
  rx: number;
  tx: number;
}

const MACS_PER_MESSAGE = 32;
const QUEUE_VECTOR = 1;

export class Requests {
  readonly #mailbox: Requester;
  readonly #vsiId: number;

  constructor(mailbox: Requester, vsiId: number) {
    this.#mailbox = mailbox;
    this.#vsiId = vsiId;
  }

  /** The first address is the port's own. */
  async addMacs(macs: readonly Uint8Array[]): Promise<void> {
    await this.#macs(VIRTCHNL_OP.ADD_ETH_ADDR, macs);
  }

  async deleteMacs(macs: readonly Uint8Array[]): Promise<void> {
    await this.#macs(VIRTCHNL_OP.DEL_ETH_ADDR, macs);
  }

  async configureQueues(pairs: QueuePairInfo[]): Promise<void> {
    const msg = { vsiId: this.#vsiId, pairs };
    await this.#mailbox.request(VIRTCHNL_OP.CONFIG_VSI_QUEUES, encode(vsiQueueConfigCodec, msg));
  }

  /** All queues on the queue vector, vector 0 last and without any, as Linux sends it. */
  async mapVectors(queues: QueueMask): Promise<void> {
    const map = (vectorId: number, { rx, tx }: QueueMask) => ({
      vsiId: this.#vsiId,
      vectorId,
      rxqMap: rx,
      txqMap: tx,
      rxitrIdx: ITR_INDEX_NONE,
      txitrIdx: ITR_INDEX_NONE,
    });
    const msg = { vectors: [map(QUEUE_VECTOR, queues), map(0, { rx: 0, tx: 0 })] };
    await this.#mailbox.request(VIRTCHNL_OP.CONFIG_IRQ_MAP, encode(irqMapCodec, msg));
  }

  async enableQueues(queues: QueueMask): Promise<void> {
    await this.#select(VIRTCHNL_OP.ENABLE_QUEUES, queues);
  }

  async disableQueues(queues: QueueMask): Promise<void> {
    await this.#select(VIRTCHNL_OP.DISABLE_QUEUES, queues);
  }

  async setPromiscuous(unicast: boolean, multicast: boolean): Promise<void> {
    const flags = (unicast ? PROMISC_UNICAST : 0) | (multicast ? PROMISC_MULTICAST : 0);
    const bytes = encode(promiscCodec, { vsiId: this.#vsiId, flags });
    await this.#mailbox.request(VIRTCHNL_OP.CONFIG_PROMISCUOUS_MODE, bytes);
  }

  async setVlanStripping(on: boolean): Promise<void> {
    await this.#mailbox.request(on ? VIRTCHNL_OP.ENABLE_VLAN_STRIPPING : VIRTCHNL_OP.DISABLE_VLAN_STRIPPING);
  }

  async setVlans(ids: readonly number[], on: boolean): Promise<void> {
    if (ids.length === 0) return;
    const bytes = encode(vlanListCodec, { vsiId: this.#vsiId, ids: [...ids] });
    await this.#mailbox.request(on ? VIRTCHNL_OP.ADD_VLAN : VIRTCHNL_OP.DEL_VLAN, bytes);
  }

  async setRssKey(key: Uint8Array): Promise<void> {
    const bytes = encode(rssKeyCodec, { vsiId: this.#vsiId, bytes: key });
    await this.#mailbox.request(VIRTCHNL_OP.CONFIG_RSS_KEY, bytes);
  }

  async setRssLut(lut: Uint8Array): Promise<void> {
    const bytes = encode(rssLutCodec, { vsiId: this.#vsiId, bytes: lut });
    await this.#mailbox.request(VIRTCHNL_OP.CONFIG_RSS_LUT, bytes);
  }

  /** Hashes every packet class that the device can. */
  async setRssAllClasses(): Promise<void> {
    const classes = decode(rssHenaCodec, await this.#mailbox.request(VIRTCHNL_OP.GET_RSS_HENA_CAPS)) ?? 0n;
    await this.#mailbox.request(VIRTCHNL_OP.SET_RSS_HENA, encode(rssHenaCodec, classes));
  }

  /** Has no reply. */
  resetVf(): Promise<void> {
    return this.#mailbox.send(VIRTCHNL_OP.RESET_VF);
  }

  async #macs(op: number, macs: readonly Uint8Array[]): Promise<void> {
    const list = macs.map((addr, i) => ({ addr, type: i === 0 ? ETH_ADDR_PRIMARY : ETH_ADDR_EXTRA }));
    for (let i = 0; i < list.length; i += MACS_PER_MESSAGE) {
      const msg = { vsiId: this.#vsiId, list: list.slice(i, i + MACS_PER_MESSAGE) };
      await this.#mailbox.request(op, encode(ethAddrListCodec, msg));
    }
  }

  async #select(op: number, { rx, tx }: QueueMask): Promise<void> {
    const bytes = encode(queueSelectCodec, { vsiId: this.#vsiId, rxQueues: rx, txQueues: tx });
    await this.#mailbox.request(op, bytes);
  }
}
