// The link as the device last said it was. Used by session.ts.
import { linkSpeedOfBit, type PfEvent } from "@emudev/avf";

export class LinkState {
  #up = false;
  #mbps = 0;

  /** @param running whether the data queues are enabled: a link is up then only */
  get(running: boolean): { up: boolean; speedMbps: number } {
    return { up: running && this.#up, speedMbps: this.#mbps };
  }

  /** The device's word, its speed in Mbps or as a bit. Returns whether the link has changed. */
  hear({ linkUp, linkSpeed }: PfEvent, inMbps: boolean): boolean {
    const mbps = inMbps ? linkSpeed : linkSpeedOfBit(linkSpeed);
    const changed = linkUp !== this.#up || (linkUp && mbps !== this.#mbps);
    this.#up = linkUp;
    this.#mbps = mbps;
    return changed;
  }

  /** Down until the device says otherwise. Returns whether it was up. */
  down(): boolean {
    const was = this.#up;
    this.#up = false;
    return was;
  }

  /** Nothing is known any more. */
  forget(): void {
    this.#up = false;
    this.#mbps = 0;
  }
}
