// What the controller counts over its whole life, resets included, and the log pages made of it: errors (01h), SMART (02h),
// firmware slots (03h); NVM Express Base Specification 1.4, 5.14.1. engine.ts counts, admin.ts reads.

/** Entries of the error log that are kept. */
export const ERROR_ENTRIES = 4;
const ERROR_BYTES = 64;
/** 40 degrees Celsius, in kelvins. */
export const TEMPERATURE = 313;

interface ErrorEntry {
  count: number;
  queue: number;
  command: number;
  status: number;
  namespace: number;
}

export class Health {
  reads = 0;
  writes = 0;
  flushes = 0;
  bytesRead = 0;
  bytesWritten = 0;
  interrupts = 0;
  /** Commands that ended with an error, and invalid doorbell writes. */
  errors = 0;
  mediaErrors = 0;
  /** Times that the driver went away without a shutdown. */
  unsafeShutdowns = 0;
  readonly #startMs = Date.now();
  readonly #last: ErrorEntry[] = [];

  /** `status` is the status field as in the completion, phase bit and all. */
  failed(queue: number, command: number, status: number, namespace: number): void {
    this.errors++;
    this.#last.unshift({ count: this.errors, queue, command, status, namespace });
    if (this.#last.length > ERROR_ENTRIES) this.#last.pop();
  }

  /** Log page `id`, or null for one that is not there. */
  page(id: number): Uint8Array | null {
    if (id === 1) return this.#errorPage();
    if (id === 2) return this.#smartPage();
    return id === 3 ? firmwarePage() : null;
  }

  #errorPage(): Uint8Array {
    const view = new DataView(new ArrayBuffer(ERROR_ENTRIES * ERROR_BYTES));
    this.#last.forEach((entry, index) => {
      const at = index * ERROR_BYTES;
      view.setBigUint64(at, BigInt(entry.count), true);
      view.setUint16(at + 8, entry.queue, true);
      view.setUint16(at + 10, entry.command, true);
      view.setUint16(at + 12, entry.status, true);
      view.setUint16(at + 14, 0xffff, true); // no place in the command is named
      view.setUint32(at + 24, entry.namespace, true);
    });
    return new Uint8Array(view.buffer);
  }

  #smartPage(): Uint8Array {
    const view = new DataView(new ArrayBuffer(512));
    view.setUint16(1, TEMPERATURE, true);
    view.setUint8(3, 100); // spare left, in per cent
    view.setUint8(4, 10); // below which it would be critical
    const units = (bytes: number): number => Math.ceil(bytes / 512_000);
    const hours = Math.floor((Date.now() - this.#startMs) / 3_600_000);
    // 16 bytes each, of which the low 8 suffice
    const counters: [number, number][] = [
      [32, units(this.bytesRead)],
      [48, units(this.bytesWritten)],
      [64, this.reads],
      [80, this.writes],
      [112, 1],
      [128, hours],
      [144, this.unsafeShutdowns],
      [160, this.mediaErrors],
      [176, this.errors],
    ];
    for (const [at, value] of counters) view.setBigUint64(at, BigInt(value), true);
    return new Uint8Array(view.buffer);
  }
}

function firmwarePage(): Uint8Array {
  const page = new Uint8Array(512);
  page[0] = 1; // slot 1 is the active one
  page.set(new TextEncoder().encode(FIRMWARE.padEnd(8)), 8);
  return page;
}

/** Firmware revision. */
export const FIRMWARE = "1.0";
