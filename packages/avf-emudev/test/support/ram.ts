// Guest memory for tests without a client: a piece of bytes from address 0, with every access recorded, and delayed or refused
// where a test asks for it.
import type { GuestMemory } from "../../src/index.ts";

export class Ram implements GuestMemory {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** "read 0x40+32", "write 0x1000+8", in order. */
  readonly log: string[] = [];
  /** Runs before each access. */
  before: (access: string) => void | Promise<void> = () => {};

  constructor(bytes = 0x20000) {
    this.bytes = new Uint8Array(bytes);
    this.view = new DataView(this.bytes.buffer);
  }

  async read(iova: bigint, bytes: number): Promise<Uint8Array> {
    const at = await this.#enter("read", iova, bytes);
    return this.bytes.slice(at, at + bytes);
  }

  async write(iova: bigint, data: Uint8Array): Promise<void> {
    const at = await this.#enter("write", iova, data.length);
    this.bytes.set(data, at);
  }

  async #enter(what: string, iova: bigint, bytes: number): Promise<number> {
    const access = `${what} 0x${iova.toString(16)}+${bytes}`;
    this.log.push(access);
    await this.before(access);
    if (iova < 0n || iova + BigInt(bytes) > BigInt(this.bytes.length)) throw new Error(`EFAULT ${access}`);
    return Number(iova);
  }
}
