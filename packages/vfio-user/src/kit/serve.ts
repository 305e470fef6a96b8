// The main program of a device: `await serve("dice", device)`. Takes the socket's path from the command line, says when the
// device is ready, ends in order at SIGINT and SIGTERM, and tells what is wrong in one sentence instead of a stack. What goes
// wrong later (an exception in the device's code, a second client) is said on stderr, with --verbose also who comes and
// goes and why a command was refused.

import type { Log } from "../environment.ts";
import { VfioUserError } from "../errors.ts";
import type { PciDevice } from "./device.ts";

/**
 * Prints "NAME: ready at PATH" on stdout when clients may connect. A path that cannot be used is said on stderr, and the
 * exit code is 1; without a path, 2. @returns whether the device is offered
 */
export async function serve(name: string, device: PciDevice, path = process.argv[2]): Promise<boolean> {
  if (path === undefined || path.startsWith("-")) {
    console.error(
      `usage: ${name} SOCKET [--verbose]: SOCKET is the path of the socket to make, /tmp/${name}.sock for instance`,
    );
    process.exitCode = 2;
    return false;
  }
  try {
    await device.listen(path, { log: device.log ?? stderrLog(name, process.argv.includes("--verbose")) });
  } catch (error) {
    if (!(error instanceof VfioUserError)) throw error;
    console.error(`${name}: ${error.message}`);
    process.exitCode = 1;
    return false;
  }
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void device.close());
  console.log(`${name}: ready at ${path}`);
  return true;
}

function stderrLog(name: string, verbose: boolean): Log {
  const say = (message: string): void => console.error(`${name}: ${message}`);
  const more = verbose ? say : (): void => {};
  return { error: say, warning: say, notice: say, info: more, debug: more };
}
