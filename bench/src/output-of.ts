// A program's standard output, for benches whose work is done by a process of its own.
import { spawn } from "node:child_process";

/** @param timeout milliseconds in which it must end. @throws Error with what it said last, unless it ends with 0 */
export function outputOf(command: string, args: readonly string[], timeout: number): Promise<string> {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], timeout });
  let output = "";
  let errors = "";
  child.stdout.on("data", (chunk) => {
    output += chunk;
  });
  child.stderr.on("data", (chunk) => {
    errors += chunk;
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      if (code === 0) resolve(output);
      else
        reject(
          new Error(`${[command, ...args].join(" ")} ended with ${signal ?? code}: ${(output + errors).slice(-800)}`),
        );
    });
  });
}
