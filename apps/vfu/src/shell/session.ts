// What a shell holds between its commands: the client, memory that is lent to the device, interrupts that are counted. Made by
// commands/shell.ts, used by the commands of table.ts.
import { closeFd, type Mapping, mapAnywhere, memfdCreate, PROT } from "@emudev/linux";
import type { VfioUserClient } from "@emudev/vfio-user";
import type { Context } from "../command.ts";
import type { KnownDevice } from "../devices.ts";
import { usage, VfuError } from "../errors.ts";
import { bindAll } from "../interrupts.ts";
import { hex } from "../names.ts";

interface Lent {
  address: bigint;
  size: number;
  fd: number;
  mapping: Mapping;
}

export class Session {
  readonly client: VfioUserClient;
  readonly device: KnownDevice | null;
  readonly context: Context;
  readonly json: boolean;
  /** Milliseconds that an interrupt is waited for. */
  readonly timeout: number;
  #lent: Lent[] = [];
  #unbind: (() => Promise<void>) | null = null;
  /** Interrupts that came and were not waited for. */
  #arrived = 0;
  #wake: () => void = () => {};

  constructor(
    client: VfioUserClient,
    device: KnownDevice | null,
    context: Context,
    { json, timeout }: { json: boolean; timeout: number },
  ) {
    this.client = client;
    this.device = device;
    this.context = context;
    this.json = json;
    this.timeout = timeout;
  }

  /** A result: as JSON all of it, as text the lines. */
  print(result: object, lines: readonly string[]): void {
    if (this.json) this.context.out.json(result);
    else for (const line of lines) this.context.out.line(line);
  }

  /** Lends zeroed memory at an address of the device's. */
  async lend(address: bigint, size: number): Promise<void> {
    const fd = memfdCreate("vfu memory", size);
    try {
      await this.client.dmaMap({ iova: address, size: BigInt(size), prot: PROT.READ | PROT.WRITE, fd, fileOffset: 0n });
      this.#lent.push({ address, size, fd, mapping: mapAnywhere(size, PROT.READ | PROT.WRITE, fd, 0) });
    } catch (error) {
      closeFd(fd);
      throw error;
    }
  }

  async takeBack(address: bigint): Promise<void> {
    const lent = this.#lent.find((each) => each.address === address);
    if (lent === undefined) throw usage(`nothing is lent at ${hex(address)}; ${this.#what()}`);
    await this.client.dmaUnmap(lent.address, BigInt(lent.size));
    this.#lent = this.#lent.filter((each) => each !== lent);
    free(lent);
  }

  /** Lent memory, as the device sees it. */
  memory(address: bigint, count: number): Uint8Array {
    const lent = this.#lent.find(
      (each) => address >= each.address && address + BigInt(count) <= each.address + BigInt(each.size),
    );
    if (lent === undefined) throw usage(`${hex(address)}+${count} is not lent memory; ${this.#what()}`);
    return new Uint8Array(lent.mapping.buffer, Number(address - lent.address), count);
  }

  /** From here on interrupts are printed as they come. */
  async watchInterrupts(): Promise<void> {
    if (this.#unbind !== null) throw usage("interrupts are watched already");
    this.#unbind = await bindAll(this.client, this.context, (irq, vector, times) => {
      this.#arrived += times;
      this.print({ irq, vector, times }, [`${irq}  ${vector}  ${times}`]);
      this.#wake();
    });
  }

  /** Until an interrupt comes that was not waited for. */
  async interrupt(ms: number): Promise<void> {
    if (this.#unbind === null) throw usage("interrupts are not watched: irqs");
    const { signal } = this.context;
    const ends = performance.now() + ms;
    while (this.#arrived === 0 && performance.now() < ends && !signal.aborted && this.client.open) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        setTimeout(resolve, Math.min(100, ms));
      });
    }
    if (this.#arrived === 0) throw new VfuError("TARGET", `no interrupt in ${ms} ms`);
    this.#arrived = 0;
  }

  async end(): Promise<void> {
    await this.#unbind?.();
    for (const lent of this.#lent) free(lent);
    this.#lent = [];
  }

  #what(): string {
    const list = this.#lent.map(({ address, size }) => `${hex(address)}+${hex(size)}`);
    return list.length > 0 ? `lent are ${list.join(", ")}` : "lend some: map ADDRESS BYTES";
  }
}

function free({ fd, mapping }: Lent): void {
  mapping.unmap();
  closeFd(fd);
}
