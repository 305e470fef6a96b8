// What the port wants to receive, kept here because it outlives stops and resets of the device: addresses, promiscuous modes,
// VLANs, stripping. Changes go to the device at once when it is up, and all of it goes again after a reset. Addresses are
// given at each start and taken back at each stop, by session.ts, as Linux does.
import { VF_CAP } from "@emudev/avf";
import type { Requests } from "./requests.ts";
import type { Session } from "./session.ts";

export class Filters {
  readonly #session: Session;
  #mac: Uint8Array;
  readonly #extra: Uint8Array[] = [];
  readonly #vlans = new Set<number>();
  #promiscuous = false;
  #allmulticast = false;
  #strip = false;

  constructor(session: Session, mac: Uint8Array) {
    this.#session = session;
    this.#mac = mac;
  }

  /** The port's own address first. */
  get macs(): readonly Uint8Array[] {
    return [this.#mac, ...this.#extra];
  }

  /** Sends everything but the addresses, after the device was reset or configured. */
  async restore(requests: Requests = this.#session.requests): Promise<void> {
    if (this.#session.has(VF_CAP.VLAN)) {
      await requests.setVlanStripping(this.#strip);
      await requests.setVlans([...this.#vlans], true);
    }
    if (this.#promiscuous || this.#allmulticast) await requests.setPromiscuous(this.#promiscuous, this.#allmulticast);
  }

  async setMac(mac: Uint8Array): Promise<void> {
    const before = this.#mac;
    this.#mac = Uint8Array.from(mac);
    if (!this.#session.isStarted) return;
    await this.#session.requests.addMacs([this.#mac]);
    await this.#session.requests.deleteMacs([before]);
  }

  async addMac(mac: Uint8Array): Promise<void> {
    if (this.#session.isStarted) await this.#session.requests.addMacs([mac]);
    this.#extra.push(Uint8Array.from(mac));
  }

  async removeMac(mac: Uint8Array): Promise<void> {
    const at = this.#extra.findIndex((known) => known.every((byte, i) => byte === mac[i]));
    if (at < 0) return;
    if (this.#session.isStarted) await this.#session.requests.deleteMacs([mac]);
    this.#extra.splice(at, 1);
  }

  async setPromiscuous(on: boolean): Promise<void> {
    if (this.#session.isUp) await this.#session.requests.setPromiscuous(on, this.#allmulticast);
    this.#promiscuous = on;
  }

  async setAllmulticast(on: boolean): Promise<void> {
    if (this.#session.isUp) await this.#session.requests.setPromiscuous(this.#promiscuous, on);
    this.#allmulticast = on;
  }

  async setStripping(on: boolean): Promise<void> {
    if (this.#session.isUp) await this.#session.requests.setVlanStripping(on);
    this.#strip = on;
  }

  async setVlan(id: number, on: boolean): Promise<void> {
    if (this.#session.isUp) await this.#session.requests.setVlans([id], on);
    if (on) this.#vlans.add(id);
    else this.#vlans.delete(id);
  }
}
