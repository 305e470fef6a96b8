// What the conformance tests share: a device behind a real socket, and a client that speaks bytes. Each file here answers
// to one file of libvfio-user's own test suite, each test names the case that it answers to, and CONFORMANCE.md lists
// them all. Replies are compared byte by byte, and no test may leave an fd open.

import { closeFd, fdCount } from "@emudev/linux";
import { expect } from "vitest";
import { VfioUserServer } from "../../src/index.ts";
import { type AskOptions, fields, message, newPath, RawPeer, TestDevice, until } from "../support.ts";

export const COMMAND = {
  VERSION: 1,
  DMA_MAP: 2,
  DMA_UNMAP: 3,
  GET_INFO: 4,
  GET_REGION_INFO: 5,
  GET_REGION_IO_FDS: 6,
  GET_IRQ_INFO: 7,
  SET_IRQS: 8,
  REGION_READ: 9,
  REGION_WRITE: 10,
  DMA_READ: 11,
  DMA_WRITE: 12,
  RESET: 13,
} as const;
export const ERRNO = { ENOENT: 2, EIO: 5, EEXIST: 17, EINVAL: 22, EMFILE: 24, ENOSPC: 28, ENOTSUP: 95 } as const;
export const NOTHING = new Uint8Array(0);

/** Payload of a request, and what is special about its message. */
export interface Refusal {
  name: string;
  body: Uint8Array;
  errno?: number;
  options?: AskOptions;
}

export class Rig {
  /** Servers give register accesses the short way: general-path.test.ts goes through these tests without. */
  static shortcut = true;
  readonly device = new TestDevice();
  server!: VfioUserServer;
  peer!: RawPeer;
  #fds = fdCount();

  /** Serves the device and greets it. `prepare` changes the device before it is served. */
  static async start(prepare: (device: TestDevice) => void = () => {}, json?: string): Promise<Rig> {
    const rig = new Rig();
    prepare(rig.device);
    rig.server = new VfioUserServer(newPath(), rig.device, { maxDmaMaps: 64, shortcut: Rig.shortcut });
    rig.server.start();
    await rig.connect(json);
    return rig;
  }

  async connect(json?: string): Promise<void> {
    this.peer = new RawPeer(this.server.sockAddr);
    await this.peer.greet(json);
    this.device.take();
  }

  /** The reply is the 16 bytes of an error with this errno, and nothing else. */
  async refused(command: number, body: Uint8Array, errno: number, options: AskOptions = {}): Promise<void> {
    const id = options.id ?? 0xbad1;
    await this.peer.send(message(id, command, body, { ...options, id }), options.fds);
    await this.expectReply(fields(id | (command << 16), 16, 0x21, errno), NOTHING);
  }

  /** The reply is this payload behind a header without error. Its fds are the caller's. */
  async answered(command: number, body: Uint8Array, reply: Uint8Array, options: AskOptions = {}): Promise<number[]> {
    const id = options.id ?? 0x1234;
    await this.peer.send(message(id, command, body, { ...options, id }), options.fds);
    return this.expectReply(fields(id | (command << 16), 16 + reply.length, 1, 0), reply);
  }

  async expectReply(head: Uint8Array, body: Uint8Array): Promise<number[]> {
    const fds: number[] = [];
    const [gotHead, gotBody] = [await this.peer.bytes(16, fds), await this.peer.bytes(body.length, fds)];
    expect([...(gotHead ?? [])]).toEqual([...head]);
    expect([...(gotBody ?? [])]).toEqual([...body]);
    return fds;
  }

  async end(): Promise<void> {
    this.peer.close();
    await until(() => this.server.client === null, "the end of the client");
    await this.server.stop();
    expect(fdCount()).toBe(this.#fds);
  }
}

export function closeFds(fds: readonly number[]): void {
  for (const fd of fds) closeFd(fd);
}
