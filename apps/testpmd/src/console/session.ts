// The life of the application after its environment is up: ports, forwarding or console, statistics now and then, signals,
// and the way down. Called by main.ts.
import { PmdError, reason } from "../errors.ts";
import type { AppOptions } from "../options.ts";
import type { Pmd } from "../pmd.ts";
import type { Console } from "./console.ts";
import type { Output } from "./output.ts";

const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;
const LINGER_MS = 1000;
const CLEAR_SCREEN = "\x1b[2J\x1b[1;1H";

export class Session {
  readonly #output: Output;
  #end: (() => void) | undefined;
  #ending = false;
  #pmd: Pmd | undefined;
  #stats: NodeJS.Timeout | undefined;
  #undo: () => Promise<void> = async () => {};

  constructor(output: Output) {
    this.#output = output;
    for (const name of Object.keys(SIGNALS) as (keyof typeof SIGNALS)[]) process.on(name, () => this.#signalled(name));
  }

  /** What takes the environment down when the application never gets to run. */
  undo(step: () => Promise<void>): void {
    this.#undo = step;
  }

  /** Runs until something ends it, then takes everything down in order. */
  async run(pmd: Pmd, console: Console, options: AppOptions): Promise<void> {
    const ended = new Promise<void>((resolve) => {
      this.#end = resolve;
    });
    this.#pmd = pmd;
    this.#output.console = console;
    pmd.quit = () => this.#stop();
    this.#undo = () => pmd.end();
    if (options.nbPorts !== undefined) usePorts(pmd, options.nbPorts);
    if (this.#ending) return this.#finish(pmd, console);
    if (!options.disableDeviceStart) await pmd.startPorts();
    for (const portId of options.config.portlist ?? []) pmd.ports.get(portId);
    if (options.interactive) await this.#interact(pmd, console, options);
    else await this.#forward(pmd, console, options);
    await ended;
    await this.#finish(pmd, console);
  }

  /** The console's input has ended, or ^C was typed. */
  inputEnded(cause: "eof" | "signal"): void {
    if (cause === "signal") this.#signalled("SIGINT");
    else this.#stop();
  }

  /** Takes down what is up after a failure at the start. */
  async abandon(): Promise<void> {
    this.#ending = true;
    await this.#undo().catch(() => {});
    this.#release();
  }

  async #interact(pmd: Pmd, console: Console, options: AppOptions): Promise<void> {
    pmd.out("Interactive-mode selected\n");
    if (options.statsPeriod > 0) pmd.out("--stats-period has no effect with -i\n");
    if (options.cmdlineFile !== undefined) await console.load(options.cmdlineFile.path, options.cmdlineFile.echo);
    if (options.autoStart && !pmd.forwarding.running)
      await pmd.startForwarding().catch((error) => pmd.out(`${reason(error)}\n`));
    if (!this.#ending) console.open();
  }

  async #forward(pmd: Pmd, console: Console, options: AppOptions): Promise<void> {
    if (options.cmdlineFile !== undefined) await console.load(options.cmdlineFile.path, options.cmdlineFile.echo);
    if (!pmd.forwarding.running) {
      pmd.out("No commandline core given, start packet forwarding\n");
      await pmd.startForwarding(options.txFirst);
    }
    pmd.forwarding.onFailure = (error) => {
      process.stderr.write(`testpmd: forwarding failed: ${error.message}\n`);
      process.exitCode = 1;
      this.#stop();
    };
    if (options.statsPeriod > 0) {
      // As in DPDK, statistics go on until a signal: standard input may well be /dev/null.
      this.#stats = setInterval(() => this.#printStats(pmd), options.statsPeriod * 1000);
      return;
    }
    pmd.out("Press enter to exit\n");
    process.stdin.on("data", () => this.#stop());
    process.stdin.on("end", () => this.#stop());
    process.stdin.on("error", () => {});
  }

  #printStats(pmd: Pmd): void {
    if (this.#ending) return;
    if (process.stdout.isTTY) pmd.out(CLEAR_SCREEN);
    pmd.out("\nPort statistics ====================================");
    pmd.showPortStats(pmd.forwarding.ports().map((dev) => dev.portId));
  }

  #signalled(name: keyof typeof SIGNALS): void {
    // The second one does not wait for anything: 128 + its number, as a shell reports it.
    if (this.#ending) process.exit(128 + SIGNALS[name]);
    this.#stop();
    this.#output.write(`\nSignal ${SIGNALS[name]} received, preparing to exit...\n`);
  }

  #stop(): void {
    this.#ending = true;
    if (this.#pmd !== undefined) this.#pmd.quitting = true;
    this.#end?.();
  }

  async #finish(pmd: Pmd, console: Console): Promise<void> {
    clearInterval(this.#stats);
    // A driver that never comes to its end may have nothing pending either: Node would end with status 13, and without a word.
    const held = setInterval(() => {}, 2 ** 30);
    await console.close();
    await pmd.end();
    clearInterval(held);
    this.#release();
  }

  /** Lets the event loop run dry, which ends the process. */
  #release(): void {
    process.stdin.destroy();
    // Nothing should be left that keeps the process; should a driver have forgotten something, it shall not hang.
    setTimeout(() => process.exit(), LINGER_MS).unref();
  }
}

function usePorts(pmd: Pmd, count: number): void {
  const ids = pmd.ports.all().map((dev) => dev.portId);
  if (count > ids.length) throw new PmdError("USAGE", `--nb-ports ${count}: there are only ${ids.length} ports`);
  pmd.config.portlist = ids.slice(0, count);
}
