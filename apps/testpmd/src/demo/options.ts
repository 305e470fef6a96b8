// The demo's command line: `npm start -- --seconds 5 --size 64 --mode both --burst 32 --json`.
import yargs from "yargs";

/** Who sends: both sides, the guest alone, or the device's side alone. */
export const MODES = ["both", "guest-tx", "device-tx"] as const;
export type Mode = (typeof MODES)[number];

export interface DemoOptions {
  /** How long packets are sent; undefined = until ^C. */
  seconds: number | undefined;
  /** Bytes of a packet with its CRC, as everywhere in networking; 4 fewer are in memory. */
  size: number;
  mode: Mode;
  burst: number;
  json: boolean;
}

export const SIZE_MIN = 64;
export const SIZE_MAX = 1518;
const BURST_MAX = 512;

/**
 * Parses the arguments behind `npm start --`.
 * @throws Error whose message is a sentence for the user
 */
export function parseOptions(argv: readonly string[]): DemoOptions {
  const args = yargs([...argv])
    .scriptName("npm start --")
    .usage(
      "$0 [options]\n\nTwo processes, an emulated network card and a guest's driver for it, send each other packets.",
    )
    .option("seconds", { type: "number", requiresArg: true, describe: "send for so long, then end with totals" })
    .option("size", {
      type: "number",
      default: SIZE_MIN,
      requiresArg: true,
      describe: "packet size in bytes, CRC included",
    })
    .option("mode", { choices: MODES, default: "both" as Mode, requiresArg: true, describe: "who sends" })
    .option("burst", { type: "number", default: 32, requiresArg: true, describe: "packets a burst" })
    .option("json", { type: "boolean", default: false, describe: "totals as one JSON object on standard output" })
    .strict()
    .version(false)
    .help()
    .wrap(100)
    .exitProcess(true)
    .parseSync();
  const { seconds, size, mode, burst, json } = args;
  if (seconds !== undefined && !(seconds > 0 && seconds <= 86400))
    throw new Error(`--seconds ${seconds}: expected a number above 0, at most 86400`);
  checkInteger("--size", size, SIZE_MIN, SIZE_MAX);
  checkInteger("--burst", burst, 1, BURST_MAX);
  return { seconds, size, mode, burst, json };
}

function checkInteger(option: string, value: number, min: number, max: number): void {
  if (!Number.isInteger(value) || value < min || value > max)
    throw new Error(`${option} ${value}: expected a whole number from ${min} to ${max}`);
}
