// Standard output as the application uses it: whole texts, printed above the line that is being typed when there is one. A
// reader that is gone (EPIPE) is no error: the application goes on, or ends, without it.
import type { Console } from "./console.ts";

export class Output {
  /** The console whose line is to be kept. */
  console: Console | undefined;

  constructor() {
    process.stdout.on("error", () => {});
  }

  write(text: string): void {
    if (this.console?.interrupt(text) !== true) process.stdout.write(text);
  }
}
