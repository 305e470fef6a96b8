// A vfio-user client: what QEMU is to a device, as an object. Commands may be issued without waiting for earlier ones;
// each promise settles with its own reply. Used by drivers that run without a guest (iavf-ethdev), by tools and by
// tests.

import { SILENT, SYSTEM_CLOCK } from "../environment.ts";
import { VfioUserError } from "../errors.ts";
import type { DeviceState, IoFd } from "../server/device.ts";
import { COMMAND, ERRNO, IRQ_SET, MAX_DATA_XFER_SIZE, UNMAP_FLAG } from "../wire/constants.ts";
import { deviceInfo, dmaMap, dmaUnmap, irqInfo, regionAccess, setIrqs } from "../wire/index.ts";
import { decodeCount } from "../wire/region-write-multi.ts";
import type { Capabilities } from "../wire/version.ts";
import { Agreement } from "./agreement.ts";
import { type Answer, ClientChannel, type RequestOptions } from "./channel.ts";
import { connectTo, greet } from "./connect.ts";
import { irqRuns } from "./irq-runs.ts";
import {
  changeState,
  queryMigration,
  queryState,
  readData,
  reportLog,
  startLog,
  stopLog,
  writeData,
} from "./migration.ts";
import { queryRegionInfo, queryRegionIoFds } from "./region-query.ts";
import { complete, malformed, request } from "./request.ts";
import type { ClientOptions, DmaMapRequest, RegionInfo } from "./types.ts";
import { multiMessages, type RegionWrite } from "./write-multi.ts";

export class VfioUserClient {
  /** What is agreed on: the smaller limit of both sides; maxMsgFds is what the server takes. */
  readonly capabilities: Capabilities;
  readonly minor: number;
  #agreement: Agreement;
  #channel: ClientChannel;
  #closeCallbacks: ((reason: Error | null) => void)[];

  /** Use `connect` or `attach`. */
  private constructor(
    channel: ClientChannel,
    agreed: { minor: number; capabilities: Capabilities },
    closeCallbacks: ((reason: Error | null) => void)[],
  ) {
    this.#channel = channel;
    this.capabilities = agreed.capabilities;
    this.#agreement = new Agreement(agreed.capabilities);
    this.minor = agreed.minor;
    this.#closeCallbacks = closeCallbacks;
  }

  /** @throws VfioUserError VFU_ADDRESS (nobody listens), VFU_REFUSED with EBUSY (another client has the device). */
  static async connect(path: string, options: ClientOptions = {}): Promise<VfioUserClient> {
    const clock = options.clock ?? SYSTEM_CLOCK;
    if (options.fd !== undefined) return VfioUserClient.attach(options.fd, options, path);
    return VfioUserClient.attach(await connectTo(path, options.waitMs ?? 0, clock), options, path);
  }

  /** As `connect`, on a socket that is connected already. Takes over `fd`. */
  static async attach(fd: number, options: ClientOptions = {}, name = `fd ${fd}`): Promise<VfioUserClient> {
    const maxDataXferSize = Math.min(options.maxDataXferSize ?? MAX_DATA_XFER_SIZE, MAX_DATA_XFER_SIZE);
    const closeCallbacks: ((reason: Error | null) => void)[] = [];
    const channel = new ClientChannel(fd, {
      name,
      log: options.log ?? SILENT,
      clock: options.clock ?? SYSTEM_CLOCK,
      timeoutMs: options.timeoutMs ?? 5000,
      maxDataXferSize,
      onDmaRead: options.onDmaRead,
      onDmaWrite: options.onDmaWrite,
      onClose: (reason) => {
        for (const callback of closeCallbacks) callback(reason);
      },
    });
    try {
      const abort = (): void => channel.close(new VfioUserError("VFU_CLOSED", ERRNO.ECANCELED, "it was called off"));
      if (options.signal?.aborted) abort();
      options.signal?.addEventListener("abort", abort, { once: true });
      closeCallbacks.push(() => options.signal?.removeEventListener("abort", abort));
      const { twinSocket = false, writeMultiple = false } = options;
      const agreed = await greet(channel, { maxDataXferSize, twinSocket, writeMultiple });
      channel.maxDataXferSize = agreed.capabilities.maxDataXferSize;
      return new VfioUserClient(channel, agreed, closeCallbacks);
    } catch (error) {
      channel.close();
      throw error;
    }
  }

  /** False once the connection is gone. */
  get open(): boolean {
    return this.#channel.open;
  }

  /** Called once when the connection ends, by either side; null is an orderly end. */
  onClose(callback: (reason: Error | null) => void): void {
    this.#closeCallbacks.push(callback);
  }

  /** Ends the connection; what still waits is rejected with VFU_CLOSED. */
  close(): void {
    this.#channel.close();
  }

  async getInfo(): Promise<{ flags: number; numRegions: number; numIrqs: number }> {
    const { SIZE } = deviceInfo;
    const { body, view } = await this.#request(COMMAND.DEVICE_GET_INFO, SIZE, (request) =>
      deviceInfo.encodeInto(request, 0, { argsz: SIZE, flags: 0, numRegions: 0, numIrqs: 0 }),
    );
    const { flags, numRegions, numIrqs } = complete(COMMAND.DEVICE_GET_INFO, deviceInfo.decode(view, 0, body.length));
    return { flags, numRegions, numIrqs };
  }

  getRegionInfo(index: number): Promise<RegionInfo> {
    return queryRegionInfo(this.#channel, index);
  }

  async getIrqInfo(index: number): Promise<{ flags: number; count: number }> {
    const { SIZE } = irqInfo;
    const { body, view } = await this.#request(COMMAND.DEVICE_GET_IRQ_INFO, SIZE, (request) =>
      irqInfo.encodeInto(request, 0, { argsz: SIZE, flags: 0, index, count: 0 }),
    );
    const { flags, count } = complete(COMMAND.DEVICE_GET_IRQ_INFO, irqInfo.decode(view, 0, body.length));
    return { flags, count };
  }

  /** Binds eventfds to vectors start..; -1 unbinds. The fds stay the caller's: the server gets duplicates. */
  async setIrqs(index: number, start: number, fds: readonly number[]): Promise<void> {
    const runs = irqRuns(fds, Math.max(this.capabilities.maxMsgFds, 1));
    await Promise.all(
      runs.map(({ at, count, bound }) => {
        const flags = IRQ_SET.DATA_EVENTFD | IRQ_SET.TRIGGER;
        return this.#setIrqs(index, flags, start + at, count, bound ? fds.slice(at, at + count) : undefined);
      }),
    );
  }

  /**
   * Eventfds for changes of masks; -1 unbinds. `masked` false: the vector is unmasked whenever its eventfd is written (by
   * KVM, for instance); true: the server writes it when the vector becomes masked. Refused (ENOTSUP) without masks.
   */
  async setIrqMaskFds(index: number, start: number, fds: readonly number[], masked: boolean): Promise<void> {
    const flags = IRQ_SET.DATA_EVENTFD | (masked ? IRQ_SET.MASK : IRQ_SET.UNMASK);
    for (const { at, count, bound } of irqRuns(fds, Math.max(this.capabilities.maxMsgFds, 1))) {
      await this.#setIrqs(index, flags, start + at, count, bound ? fds.slice(at, at + count) : undefined);
    }
  }

  /** Unbinds every vector of an index. */
  disableIrqs(index: number): Promise<void> {
    return this.#setIrqs(index, IRQ_SET.DATA_NONE | IRQ_SET.TRIGGER, 0, 0);
  }

  /** Has the server signal the eventfds that are bound to a range. */
  triggerIrqs(index: number, start: number, count: number): Promise<void> {
    return this.#setIrqs(index, IRQ_SET.DATA_NONE | IRQ_SET.TRIGGER, start, count);
  }

  maskIrqs(index: number, start: number, count: number, masked: boolean): Promise<void> {
    return this.#setIrqs(index, IRQ_SET.DATA_NONE | (masked ? IRQ_SET.MASK : IRQ_SET.UNMASK), start, count);
  }

  /**
   * The parts of a region that are accessed through fds instead of messages. The fds are the caller's; entries that share
   * a file share the number (closeIoFds closes each once). Eventfds are non-blocking. Empty where the server has none.
   */
  getRegionIoFds(index: number): Promise<IoFd[]> {
    return queryRegionIoFds(this.#channel, index);
  }

  /**
   * Several register writes of 1 to 8 bytes each, in their order, in as few messages as they fit in (200 a message).
   * @returns writes carried out; with `posted` those sent, since whether they worked is never known
   * @throws VfioUserError VFU_STATE without the capability (option writeMultiple), VFU_ARGUMENT for a longer write
   */
  async regionWriteMulti(writes: readonly RegionWrite[], options: { posted?: boolean } = {}): Promise<number> {
    const { writeMultiple, maxDataXferSize } = this.capabilities;
    let done = 0;
    for (const { body, count } of multiMessages(writes, writeMultiple, maxDataXferSize)) {
      if (options.posted) {
        await this.#channel.post(COMMAND.REGION_WRITE_MULTI, body);
        done += count;
      } else {
        const reply = await this.#channel.request(COMMAND.REGION_WRITE_MULTI, body);
        done += Number(complete(COMMAND.REGION_WRITE_MULTI, decodeCount(reply.view, 0, reply.body.length)));
      }
    }
    return done;
  }

  /** Lends memory to the device. `fd` stays the caller's; without one the server uses onDmaRead and onDmaWrite. */
  async dmaMap(region: DmaMapRequest): Promise<void> {
    const { iova, size, mode, fd = -1, fileOffset = 0n } = region;
    this.#agreement.checkMap(iova, size, fd >= 0);
    const flags = region.prot | dmaMap.flagsOf(mode);
    await this.#request(
      COMMAND.DMA_MAP,
      dmaMap.SIZE,
      (request) => dmaMap.encodeInto(request, 0, { argsz: dmaMap.SIZE, flags, fileOffset, iova, size }),
      fd < 0 ? {} : { fds: [fd] },
    );
    this.#agreement.mapped(iova);
  }

  /** Exactly a region that was mapped. When it resolves the device has let go of the memory. */
  async dmaUnmap(iova: bigint, size: bigint): Promise<void> {
    await this.#unmap(0, iova, size);
    this.#agreement.unmapped(iova);
  }

  async dmaUnmapAll(): Promise<void> {
    await this.#unmap(UNMAP_FLAG.ALL, 0n, 0n);
    this.#agreement.unmappedAll();
  }

  /** Reads registers or device memory; more than the server takes at once is read in parts. */
  async regionRead(index: number, offset: number, bytes: number): Promise<Uint8Array> {
    const max = this.capabilities.maxDataXferSize;
    if (bytes <= max) return this.#read(index, offset, bytes);
    const into = new Uint8Array(bytes);
    for (let at = 0; at < bytes; at += max) {
      into.set(await this.#read(index, offset + at, Math.min(max, bytes - at)), at);
    }
    return into;
  }

  /** `posted`: resolves once sent; whether it worked is never known. */
  async regionWrite(
    index: number,
    offset: number,
    data: Uint8Array,
    options: { posted?: boolean } = {},
  ): Promise<void> {
    const max = this.capabilities.maxDataXferSize;
    for (let at = 0; at === 0 || at < data.length; at += max) {
      const part = data.subarray(at, at + max);
      const body = new Uint8Array(regionAccess.SIZE + part.length);
      const view = new DataView(body.buffer);
      regionAccess.encodeInto(view, 0, { offset: BigInt(offset + at), region: index, count: part.length });
      body.set(part, regionAccess.SIZE);
      if (options.posted) await this.#channel.post(COMMAND.REGION_WRITE, body);
      else await this.#channel.request(COMMAND.REGION_WRITE, body);
    }
  }

  /** MIGRATION_FLAG bits; 0: the device cannot be migrated. */
  migrationInfo(): Promise<number> {
    return queryMigration(this.#channel);
  }

  getDeviceState(): Promise<DeviceState> {
    return queryState(this.#channel);
  }

  /** Resolves when the device is in that state. It may take time: `timeoutMs` 0 waits for ever. */
  setDeviceState(state: DeviceState, options: { timeoutMs?: number } = {}): Promise<void> {
    return changeState(this.#channel, state, options);
  }

  /** Up to `max` bytes of device state; fewer than asked for: the end of the data, for now. */
  migDataRead(max: number): Promise<Uint8Array> {
    return readData(this.#channel, max, this.capabilities.maxDataXferSize);
  }

  /** Device state, of any length: what the server does not take at once goes in parts. */
  migDataWrite(data: Uint8Array): Promise<void> {
    return writeData(this.#channel, data, this.capabilities.maxDataXferSize);
  }

  /** Has the device note the pages that it writes; no range: all memory. Resolves to the page size that it notes by. */
  dirtyLogStart(ranges: readonly { iova: bigint; size: bigint }[], pageSize: number): Promise<number> {
    return startLog(this.#channel, ranges, pageSize);
  }

  dirtyLogStop(): Promise<void> {
    return stopLog(this.#channel);
  }

  /**
   * What was written of a mapped region, or of whole pages in it, since the last report: a bit a page, the lowest address
   * in bit 0 of byte 0, in whole 64-bit words.
   */
  dirtyLogReport(iova: bigint, size: bigint, pageSize: number): Promise<Uint8Array> {
    return reportLog(this.#channel, iova, size, pageSize);
  }

  /** DEVICE_RESET, which may take longer than other commands: `timeoutMs` 0 waits for ever. */
  async reset(options: { timeoutMs?: number } = {}): Promise<void> {
    await this.#channel.request(COMMAND.DEVICE_RESET, undefined, options);
  }

  async #read(index: number, offset: number, bytes: number): Promise<Uint8Array> {
    const { body } = await this.#request(COMMAND.REGION_READ, regionAccess.SIZE, (request) =>
      regionAccess.encodeInto(request, 0, { offset: BigInt(offset), region: index, count: bytes }),
    );
    if (bytes === 0) return new Uint8Array(0);
    if (body.length !== regionAccess.SIZE + bytes) {
      throw malformed(COMMAND.REGION_READ, `${body.length - regionAccess.SIZE} bytes for ${bytes}`);
    }
    return body.subarray(regionAccess.SIZE);
  }

  async #setIrqs(index: number, flags: number, start: number, count: number, fds?: readonly number[]): Promise<void> {
    const msg = { argsz: setIrqs.SIZE, flags, index, start, count, data: new Uint8Array(0) };
    await this.#request(COMMAND.DEVICE_SET_IRQS, setIrqs.SIZE, (request) => setIrqs.encodeInto(request, 0, msg), {
      fds,
    });
  }

  async #unmap(flags: number, iova: bigint, size: bigint): Promise<void> {
    const { SIZE } = dmaUnmap;
    await this.#request(COMMAND.DMA_UNMAP, SIZE, (request) =>
      dmaUnmap.encodeInto(request, 0, { argsz: SIZE, flags, iova, size }),
    );
  }

  #request(
    command: number,
    bytes: number,
    encode: (view: DataView) => number,
    options: RequestOptions = {},
  ): Promise<Answer> {
    return request(this.#channel, command, bytes, encode, options);
  }
}
