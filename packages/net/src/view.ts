// What every header view is: a window of a fixed header over a packet's bytes, moved by `at` so that one object serves
// many packets. Fields are in network byte order. `problem` judges what can be judged without the rest of the packet,
// in words.

export abstract class HeaderView {
  protected view: DataView;
  protected base: number;

  /** @param bytes the packet; @param offset of the header in it */
  constructor(bytes: Uint8Array, offset = 0) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.base = offset;
  }

  /** Moves the window, over the same packet or another. */
  at(offset: number, bytes?: Uint8Array): this {
    if (bytes !== undefined) this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.base = offset;
    return this;
  }

  get offset(): number {
    return this.base;
  }

  /** Bytes of the packet from the header's start on. */
  get available(): number {
    return this.view.byteLength - this.base;
  }

  /** A window into the packet. @throws RangeError where it would reach beyond, into what else lies in the buffer */
  protected bytesAt(offset: number, length: number): Uint8Array {
    if (this.base + offset < 0 || length > this.available - offset)
      throw new RangeError(`bytes ${offset}..${offset + length} of a header, ${this.available} bytes are there`);
    return new Uint8Array(this.view.buffer, this.view.byteOffset + this.base + offset, length);
  }

  protected u8(offset: number): number {
    return this.view.getUint8(this.base + offset);
  }
  protected u16(offset: number): number {
    return this.view.getUint16(this.base + offset);
  }
  protected u32(offset: number): number {
    return this.view.getUint32(this.base + offset);
  }
  protected put8(offset: number, value: number): void {
    this.view.setUint8(this.base + offset, value);
  }
  protected put16(offset: number, value: number): void {
    this.view.setUint16(this.base + offset, value);
  }
  protected put32(offset: number, value: number): void {
    this.view.setUint32(this.base + offset, value);
  }
  protected putBytes(offset: number, value: Uint8Array): void {
    this.bytesAt(offset, value.length).set(value);
  }
}

/** "needs 20 bytes, has 7", or null when there are enough. */
export const tooShort = (name: string, needed: number, available: number): string | null =>
  available < needed ? `${name} header needs ${needed} bytes, has ${available}` : null;
