// The whole application as a function of its command line and its drivers: the environment, every port, then commands (-i) or
// forwarding until a signal or the end of the input. Status 2 for a wrong command line, 1 for anything else that failed.
// Called by main.ts, and by tests with drivers of their own.
import { EalError, ealInit, ealUsage, type VdevDriver } from "@emudev/eal";
import { Console } from "./console/console.ts";
import { Output } from "./console/output.ts";
import { Session } from "./console/session.ts";
import { checkCores } from "./control/limits.ts";
import { PmdError, reason } from "./errors.ts";
import { type AppOptions, appUsage, parseAppArgs } from "./options.ts";
import { Pmd } from "./pmd.ts";

const USAGE_STATUS = 2;

/** What --vdev may name, with the keys of each. */
function driverList(drivers: readonly VdevDriver[]): string {
  const lines = drivers.map(({ name, params }) => `  ${name.padEnd(11)} ${Object.keys(params).join(", ")}`);
  return `\nDrivers for --vdev, with their keys (packages/*/README.md says what each is):\n${lines.join("\n")}\n`;
}

/**
 * Runs the application to its end; sets the process's exit status.
 * @param argv the arguments without node and script
 * @param drivers what `--vdev` can name
 */
export async function run(argv: readonly string[], drivers: readonly VdevDriver[]): Promise<void> {
  const output = new Output();
  const session = new Session(output);
  try {
    const end = argv.indexOf("--");
    const options = parseAppArgs(end < 0 ? [] : argv.slice(end + 1));
    if (options.help) return output.write(`${ealUsage("testpmd")}\n\n${appUsage()}\n${driverList(drivers)}`);
    const eal = await ealInit(argv, { drivers, program: "testpmd" });
    session.undo(() => eal.cleanup());
    checkAgainstWorld(options, eal.lcores.workers.length);
    const pmd = new Pmd(eal, options.config, (text) => output.write(text));
    await session.run(pmd, new Console(pmd, (cause) => session.inputEnded(cause)), options);
  } catch (error) {
    if (error instanceof EalError && (error.code === "HELP" || error.code === "VERSION")) {
      output.write(
        error.code === "HELP" ? `${error.message}\n\n${appUsage()}\n${driverList(drivers)}` : `${error.message}\n`,
      );
      return;
    }
    process.stderr.write(`testpmd: ${reason(error)}\n`);
    process.exitCode = isUsage(error) ? USAGE_STATUS : 1;
    await session.abandon();
  }
}

/** What can only be checked once lcores and ports are there. */
function checkAgainstWorld({ config, ignored }: AppOptions, workers: number): void {
  for (const option of ignored) process.stderr.write(`testpmd: ${option} has no effect here\n`);
  try {
    if (config.nbCores !== 1) checkCores(config.nbCores, workers);
  } catch (error) {
    throw new PmdError("USAGE", `--nb-cores ${config.nbCores}: ${reason(error)}`);
  }
}

function isUsage(error: unknown): boolean {
  if (error instanceof PmdError) return error.code === "USAGE";
  return error instanceof EalError && (error.code === "ARG" || error.code === "DEVARGS");
}
