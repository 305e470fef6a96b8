// Standard output as the commands see it: lines of text, or JSON. A reader that goes away (`vfu trace ... | head`) ends the
// command in order instead of with an error; one that is slow is waited for by who asks (`trace`, which would otherwise pile
// up what it prints).

export interface Output {
  line(text: string): void;
  json(value: unknown): void;
  /** A promise while the reader is behind, else null. */
  behind(): Promise<void> | null;
}

/** Bytes that may wait for the reader before it counts as behind. */
const BEHIND_BYTES = 1 << 20;

export class StandardOutput implements Output {
  readonly #stream: NodeJS.WritableStream & { writableLength: number };
  #gone = false;

  /** @param onGone called once when nobody reads any more */
  constructor(stream: NodeJS.WritableStream & { writableLength: number }, onGone: () => void) {
    this.#stream = stream;
    stream.on("error", () => {
      if (this.#gone) return;
      this.#gone = true;
      onGone();
    });
  }

  line(text: string): void {
    if (!this.#gone) this.#stream.write(`${text}\n`);
  }

  json(value: unknown): void {
    this.line(toJson(value));
  }

  behind(): Promise<void> | null {
    if (this.#gone || this.#stream.writableLength < BEHIND_BYTES) return null;
    return new Promise((resolve) => {
      this.#stream.once("drain", resolve);
      this.#stream.once("error", () => resolve());
    });
  }
}

/** One line of JSON. 64-bit numbers are strings in hexadecimal, as no JavaScript number holds them. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_key, each) => (typeof each === "bigint" ? `0x${each.toString(16)}` : each));
}

/** Columns, two blanks apart; the last one is left as long as it is. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}
