// The application as its commands see it: the environment, settings, ports, forwarding, where output goes, and how it ends.
// Made by main.ts.
import type { Eal } from "@emudev/eal";
import type { Config } from "./control/config.ts";
import { Forwarding } from "./control/forwarding.ts";
import { Ports } from "./control/ports.ts";
import { Rebalancer } from "./control/rebalance.ts";
import { drainTrace } from "./control/trace-reader.ts";
import { reason } from "./errors.ts";
import { formatLink } from "./views/format.ts";
import { fwdConfig, rxtxConfig } from "./views/fwd-config.ts";
import { fwdStats } from "./views/fwd-stats.ts";
import { packetLines } from "./views/packet.ts";
import { portStats, ratesSince } from "./views/port-stats.ts";

const TRACE_MS = 50;

export class Pmd {
  readonly eal: Eal;
  readonly config: Config;
  readonly ports: Ports;
  readonly forwarding: Forwarding;
  readonly rebalancer: Rebalancer;
  readonly out: (text: string) => void;
  /** Set by the console: runs the commands of a file. */
  load: (path: string) => Promise<void> = async () => {};
  /** Set by main.ts: ends the application, in order. */
  quit: () => void = () => {};
  /** The application is about to end: no further command is run. */
  quitting = false;
  #ended: Promise<void> | undefined;
  #tracing: NodeJS.Timeout | undefined;
  #lost = 0;

  constructor(eal: Eal, config: Config, out: (text: string) => void) {
    this.eal = eal;
    this.config = config;
    this.out = out;
    this.ports = new Ports(eal, config, out);
    this.forwarding = new Forwarding(eal, config, this.ports);
    this.rebalancer = new Rebalancer(eal.arena, this.forwarding);
    this.forwarding.onFailure = (error) => this.out(`\nForwarding failed: ${error.message}\n`);
  }

  /** Starts every port. A port that cannot be started is an error. */
  async startPorts(): Promise<void> {
    for (const dev of this.ports.all()) await this.ports.start(dev);
    this.checkLinks();
  }

  /** Prints every port's link. Ports whose guest is not up yet are down; forwarding may begin all the same. */
  checkLinks(): void {
    this.out("Checking link statuses...\n");
    for (const dev of this.ports.all())
      if (dev.state === "started") this.out(`Port ${dev.portId} ${formatLink(dev.linkGet())}\n`);
    this.out("Done\n");
  }

  async startForwarding(txFirst = 0): Promise<void> {
    const arrangement = await this.forwarding.start(txFirst);
    this.out(fwdConfig(this.config, arrangement));
    this.out(rxtxConfig(this.config, arrangement));
  }

  async stopForwarding(): Promise<void> {
    if (this.forwarding.running) this.out("Telling cores to stop...\nWaiting for lcores to finish...\n");
    await this.forwarding.stop();
    this.#trace();
    this.showFwdStats();
    this.out("\nDone.\n");
  }

  /** What lcores print: 1 received, 2 sent packets, 3 both, 0 none. */
  setVerbose(level: number): void {
    this.config.verbose = level;
    this.forwarding.apply();
    clearInterval(this.#tracing);
    this.#trace();
    this.#tracing = level === 0 ? undefined : setInterval(() => this.#trace(), TRACE_MS).unref();
  }

  showFwdStats(): void {
    const { arrangement } = this.forwarding;
    if (arrangement === undefined) this.out("Packet forwarding was never started\n");
    else this.out(fwdStats(this.forwarding, arrangement));
  }

  showPortStats(portIds: readonly number[]): void {
    for (const portId of portIds) {
      const dev = this.ports.get(portId);
      const record = this.ports.record(dev);
      const stats = dev.statsGet();
      const at = performance.now();
      this.out(portStats(portId, stats, ratesSince(stats, record.shown?.stats, at - (record.shown?.at ?? at))));
      record.shown = { stats, at };
    }
  }

  /** Ends in order: forwarding, ports, devices, lcores, files. Idempotent; never throws. */
  end(): Promise<void> {
    this.#ended ??= this.#end();
    return this.#ended;
  }

  async #end(): Promise<void> {
    this.ports.hush();
    clearInterval(this.#tracing);
    try {
      await this.rebalancer.set(0);
      if (this.forwarding.running) await this.stopForwarding();
      for (const what of ["stop", "close"] as const) {
        for (const dev of this.ports.all()) {
          this.out(what === "stop" ? `\nStopping port ${dev.portId}...\n` : `\nShutting down port ${dev.portId}...\n`);
          await this.ports[what](dev).catch((error) => this.out(`Port ${dev.portId}: ${reason(error)}\n`));
        }
      }
    } catch (error) {
      this.out(`testpmd: ${reason(error)}\n`);
    }
    await this.eal.cleanup().catch((error) => this.out(`testpmd: ${reason(error)}\n`));
    this.out("\nBye...\n");
  }

  #trace(): void {
    let lost = 0;
    for (const { trace } of this.forwarding.arrangement?.lcores ?? [])
      lost += drainTrace(this.eal.arena, trace, (record) => this.out(packetLines(record)));
    if (lost > this.#lost) this.out(`(${lost - this.#lost} packets were not printed)\n`);
    this.#lost = lost;
  }
}
