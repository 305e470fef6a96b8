// The link as the guest sees it. A driver takes a LINK_CHANGE event only while its queues are enabled and drops one that repeats
// what it knows, so one is sent when the first queue is enabled, whatever the link is, and then whenever it changes.
import { encode, linkSpeedBit, pfEventCodec, VF_CAP, VIRTCHNL_EVENT } from "@emudev/avf";

export interface LinkHost {
  /** The attributes link_up and link_speed. */
  link(): { up: boolean; mbps: number };
  /** VF_CAP bits granted to the driver. */
  caps(): number;
  /** Some queue is enabled. */
  running(): boolean;
  sendEvent(event: Uint8Array): void;
}

export class Link {
  readonly #host: LinkHost;
  /** What the driver was told last, null = nothing that it has kept. */
  told: string | null = null;

  constructor(host: LinkHost) {
    this.#host = host;
  }

  /** GET_VF_RESOURCES was answered: DPDK takes a link that is up from here on, Linux ignores it. */
  introduce(): void {
    if (this.#host.link().up) this.#send();
    this.told = null;
  }

  /** Queues were enabled, or an attribute was set: an event if the driver does not know. */
  update(): void {
    if (this.#host.running() && this.told !== this.#now()) this.#send();
  }

  /** The driver has disabled its queues or was reset: it forgets the link. */
  forget(): void {
    this.told = null;
  }

  #now(): string {
    const { up, mbps } = this.#host.link();
    return up ? `up ${mbps}` : "down";
  }

  #send(): void {
    const { up, mbps } = this.#host.link();
    this.told = this.#now();
    this.#host.sendEvent(linkEvent(this.#host.caps(), up, mbps));
  }
}

/** EVENT LINK_CHANGE as a driver with these capabilities reads it: Mbit/s, or the bit of a known speed. */
export function linkEvent(caps: number, up: boolean, mbps: number): Uint8Array {
  const speed = (caps & VF_CAP.ADV_LINK_SPEED) !== 0 ? mbps : linkSpeedBit(mbps);
  const linkSpeed = up ? speed : 0;
  return encode(pfEventCodec, { event: VIRTCHNL_EVENT.LINK_CHANGE, linkSpeed, linkUp: up, severity: 0 });
}

/** EVENT RESET_IMPENDING: the driver is to expect a reset that it has not asked for. */
export const resetEvent = (): Uint8Array =>
  encode(pfEventCodec, { event: VIRTCHNL_EVENT.RESET_IMPENDING, linkSpeed: 0, linkUp: false, severity: 0 });
