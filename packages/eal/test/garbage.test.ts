// A polling lcore leaves no garbage, by V8's own trace, and with V8 told to inline nothing: what it inlines by itself is another
// thing in every run. Rounds of turns are traced until three in a row were clean, which they are not before the code is compiled.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const script = fileURLToPath(new URL("./garbage-lcore.mjs", import.meta.url));
const flags = ["--trace-gc", "--no-turbo-inlining", "--max-semi-space-size=1"];
/** V8's line for a collection begins with process and isolate. */
const TRACE = /\[\d+:(0x[0-9a-f]+)\]/;

it.each([
  ["idle", "0"],
  ["timed", "1"],
])("an lcore whose turns are %s allocates nothing", async (_name, moved) => {
  // V8 prints through C's standard output, which would keep the lines in a buffer.
  const child = spawn("stdbuf", ["-oL", process.execPath, ...flags, script, moved], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const isolates = new Set<string>();
  let first: string | undefined;
  let clean = 0;
  let shown = false; // what is collected when it ends does not count
  let last = false;
  for await (const line of createInterface({ input: child.stdout })) {
    const isolate = TRACE.exec(line)?.[1];
    // The main thread has loaded its modules, and collected, before there is an lcore.
    if (isolate !== undefined) first ??= isolate;
    if (isolate !== undefined && isolate !== first) {
      isolates.add(isolate);
      clean = 0;
    }
    if (line === "ROUND") clean++;
    last ||= line === "LAST";
    shown ||= clean > 2;
    if (shown || last) child.stdin.end();
  }
  expect({ traced: isolates.size > 0, shown }).toEqual({ traced: true, shown: true });
});
