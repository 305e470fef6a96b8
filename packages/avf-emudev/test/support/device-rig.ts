// A process with an environment, emulated AVFs, a backend that records what it is told, and vfio-user clients with memory of
// their own: what the tests of the whole device start from. One environment a test file.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ealInit, type VdevDevice } from "@emudev/eal";
import {
  attrName,
  type EmuDev,
  EventReceiver,
  emuSubscribeEvent,
  emuUnsubscribeEvent,
  eventChannelCreate,
  eventChannelFree,
} from "@emudev/emudev";
import { closeFd, eventfd, eventfdRead, type Mapping, mapAnywhere, memfdCreate, PROT } from "@emudev/linux";
import { type ClientOptions, type DmaMode, PCI_IRQ, VfioUserClient } from "@emudev/vfio-user";
import type { AvfDevice } from "../../src/control/device.ts";
import { drivers } from "../../src/index.ts";
import { type Bus, GuestDriver, LAYOUT } from "./guest-driver.ts";

const folder = mkdtempSync(join(tmpdir(), "avf-emudev-"));
export const lines: string[] = [];
export const eal = await ealInit(["--in-memory", "-l", "0"], { drivers, logWrite: (line) => lines.push(line) });
let serial = 0;

export async function endEal(): Promise<void> {
  await eal.cleanup();
  rmSync(folder, { recursive: true, force: true });
}

export interface Rig {
  vdev: VdevDevice;
  dev: EmuDev;
  device: AvfDevice;
  path: string;
  end(): Promise<void>;
}

export const socketPath = (): string => join(folder, `s${serial++}`);

export async function makeRig(devargs = ""): Promise<Rig> {
  const path = socketPath();
  const vdev = await eal.vdev.attach(`emu_iavf${serial},path=${path}${devargs}`);
  const dev = vdev.private as EmuDev;
  return { vdev, dev, device: dev.privData as AvfDevice, path, end: () => eal.vdev.detach(vdev.name) };
}

const NAMES =
  "? QUEUE_ENABLE QUEUE_DISABLE MEM_CHANGE RESET CLIENT_UP CLIENT_DOWN ATTR_CHANGE DEV_STOP DEV_START".split(" ");

/** A backend that answers every event after `onEvent`. */
export class FakeBackend {
  /** "QUEUE_ENABLE 3", "ATTR_CHANGE mac", ... without MEM_CHANGE, which says nothing more than that. */
  readonly events: string[] = [];
  onEvent: (event: string) => void | Promise<void> = () => {};
  readonly #devId: number;
  readonly #channel;
  readonly #receiver: EventReceiver;

  private constructor(devId: number) {
    this.#devId = devId;
    this.#channel = eventChannelCreate(eal.arena, `fake${serial++}`);
    this.#receiver = new EventReceiver(this.#channel, (type, arg) => this.#take(type, arg), devId);
  }

  static async attach(devId: number): Promise<FakeBackend> {
    const backend = new FakeBackend(devId);
    await emuSubscribeEvent(devId, backend.#channel);
    return backend;
  }

  async detach(): Promise<void> {
    await this.#receiver.close();
    await emuUnsubscribeEvent(this.#devId, this.#channel);
    eventChannelFree(this.#channel);
  }

  /** The events since the last call. */
  take(): string[] {
    return this.events.splice(0);
  }

  async #take(type: number, arg: number): Promise<void> {
    const name = NAMES[type]!;
    const event =
      name === "ATTR_CHANGE" ? `${name} ${attrName(arg)}` : name.startsWith("QUEUE") ? `${name} ${arg}` : name;
    if (name !== "MEM_CHANGE") this.events.push(event);
    await this.onEvent(event);
  }
}

/** Where the guest's memory begins. */
export const RAM_BASE = 0x1_0000_0000n;
const RAM_BYTES = 0x100000;

export interface GuestOptions {
  mode?: DmaMode;
  twinSocket?: boolean;
}

/** A vfio-user client with memory, eventfds for its vectors, and the AVF's driver on top. */
export class Guest {
  readonly client: VfioUserClient;
  readonly ram: Mapping;
  readonly memory: Uint8Array;
  readonly driver: GuestDriver;
  readonly bus: Bus;
  readonly #fd: number;
  readonly #eventfds: number[] = [];

  private constructor(client: VfioUserClient) {
    this.client = client;
    this.#fd = memfdCreate("guest", RAM_BYTES);
    this.ram = mapAnywhere(RAM_BYTES, PROT.READ | PROT.WRITE, this.#fd, 0);
    this.memory = new Uint8Array(this.ram.buffer);
    this.bus = {
      read: async (offset) => new DataView((await client.regionRead(0, offset, 4)).slice().buffer).getUint32(0, true),
      write: (offset, value) => {
        const data = new Uint8Array(4);
        new DataView(data.buffer).setUint32(0, value, true);
        return client.regionWrite(0, offset, data, { posted: true });
      },
    };
    this.driver = new GuestDriver(this.bus, this.memory.subarray(0, LAYOUT.end), RAM_BASE);
  }

  /** @param options how the device reaches the memory, and whether its messages have a socket of their own */
  static async connect(path: string, { mode = "map", twinSocket = false }: GuestOptions = {}): Promise<Guest> {
    let guest: Guest | null = null;
    const at = (iova: bigint) => Number(iova - RAM_BASE);
    const handlers: ClientOptions = {
      twinSocket,
      onDmaRead: (iova: bigint, bytes: number) => guest!.memory.slice(at(iova), at(iova) + bytes),
      onDmaWrite: (iova: bigint, data: Uint8Array) => guest!.memory.set(data, at(iova)),
    };
    guest = new Guest(await VfioUserClient.connect(path, handlers));
    const fd = mode === "message" ? {} : { fd: guest.#fd, mode };
    await guest.client.dmaMap({ iova: RAM_BASE, size: BigInt(RAM_BYTES), prot: PROT.READ | PROT.WRITE, ...fd });
    return guest;
  }

  /** Binds an eventfd to each vector. */
  async bindVectors(count: number): Promise<void> {
    for (let i = 0; i < count; i++) this.#eventfds.push(eventfd());
    await this.client.setIrqs(PCI_IRQ.MSIX, 0, this.#eventfds);
  }

  /** Interrupts of a vector since the last call. */
  interrupts(vector: number): number {
    return eventfdRead(this.#eventfds[vector]!);
  }

  /** The client dies, or leaves: to the device it is the same. */
  close(): void {
    this.client.close();
    this.ram.unmap();
    closeFd(this.#fd);
    for (const fd of this.#eventfds) closeFd(fd);
  }
}
