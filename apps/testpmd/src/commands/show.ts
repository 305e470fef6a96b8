// Commands that show: `show ...`, `clear ...` and DPDK's `dump_...`.
import { formatSet } from "@emudev/eal";
import { PmdError } from "../errors.ts";
import type { Pmd } from "../pmd.ts";
import { fwdConfig, rxtxConfig } from "../views/fwd-config.ts";
import { portInfo, portSummary, portSummaryHead } from "../views/port-info.ts";
import { portXstats } from "../views/port-stats.ts";
import { rxqAssignment } from "../views/rxq-assignment.ts";
import { lcoreTable } from "../views/usage.ts";
import { dumpLcores, dumpLogTypes, dumpMempool, dumpMemzones } from "./dump.ts";
import { showEmulated } from "./emulated.ts";
import type { Args, Section } from "./parser.ts";

export const SHOW: Section = {
  name: "display",
  title: "Display",
  commands: [
    { syntax: "show port (info|stats|xstats|summary) <port>", help: "a port, or all", run: showPort },
    { syntax: "show fwd stats all", help: "what was forwarded since the start", run: (pmd) => pmd.showFwdStats() },
    { syntax: "show config (fwd|rxtx|cores|txpkts)", help: "settings", run: showConfig },
    { syntax: "show lcore usage", help: "what forwarding lcores did with their time", run: showLcores },
    { syntax: "show rxq-assignment", help: "which lcore polls which queue, and its share of it", run: showAssignment },
    { syntax: "show device info all", help: "virtual devices", run: showDevices },
    { syntax: "show emulated <device>", help: "client, state and counters of a device of ours", run: showEmulated },
    { syntax: "clear port (stats|xstats) <port>", help: "count from 0", run: clearPort },
    { syntax: "clear fwd stats all", help: "count from 0", run: (pmd) => pmd.forwarding.clear() },
    { syntax: "dump_lcores", help: "lcores and how busy they are", run: (pmd) => pmd.out(dumpLcores(pmd)) },
    { syntax: "dump_mempool", help: "the mempool", run: (pmd) => pmd.out(dumpMempool(pmd)) },
    { syntax: "dump_memzone", help: "memzones", run: (pmd) => pmd.out(dumpMemzones(pmd)) },
    { syntax: "dump_log_types", help: "log types and levels", run: (pmd) => pmd.out(dumpLogTypes(pmd)) },
  ],
};

function showPort(pmd: Pmd, args: Args): void {
  const devs = pmd.ports.named(args.port as number | "all");
  switch (args.what) {
    case "info":
      for (const dev of devs) pmd.out(portInfo(dev));
      return;
    case "stats":
      pmd.showPortStats(devs.map((dev) => dev.portId));
      return;
    case "xstats":
      for (const dev of devs) pmd.out(portXstats(dev));
      return;
    default:
      pmd.out(portSummaryHead(pmd.ports.all().length));
      for (const dev of devs) pmd.out(portSummary(dev));
  }
}

function showConfig(pmd: Pmd, args: Args): void {
  const { config, forwarding } = pmd;
  switch (args.what) {
    case "cores":
      pmd.out(`List of forwarding lcores: ${formatSet(forwarding.plan().map(({ id }) => id))}\n`);
      return;
    case "txpkts":
      pmd.out(
        `Number of segments: ${config.txpkts.length}\nSegment sizes: ${config.txpkts.join(",")}\nSplit packet: off\n`,
      );
      return;
    case "fwd":
      // While it runs, what is: queues may have changed their lcores.
      pmd.out(
        fwdConfig(
          config,
          forwarding.running ? forwarding.arrangement! : { ports: forwarding.ports(), lcores: forwarding.plan() },
        ),
      );
      return;
    default:
      pmd.out(rxtxConfig(config, { ports: forwarding.ports(), lcores: forwarding.plan() }));
  }
}

function showLcores(pmd: Pmd): void {
  const { arrangement } = pmd.forwarding;
  if (arrangement === undefined) throw new PmdError("FORWARD", "Packet forwarding was never started");
  const rows = arrangement.lcores.map(({ id, streams }) => {
    const counts = streams.map((stream) => pmd.forwarding.counts(stream));
    const packets = counts.reduce((sum, { rx, tx }) => sum + (arrangement.mode === "txonly" ? tx : rx), 0);
    return { lcore: pmd.eal.lcores.get(id), usage: pmd.forwarding.usage(id), packets };
  });
  pmd.out(lcoreTable(rows));
}

function showAssignment({ forwarding, rebalancer, out }: Pmd): void {
  const { arrangement } = forwarding;
  if (arrangement === undefined) throw new PmdError("FORWARD", "Packet forwarding was never started");
  out(rxqAssignment(arrangement.lcores, rebalancer));
}

function showDevices(pmd: Pmd): void {
  for (const dev of pmd.eal.vdev.devices())
    pmd.out(
      `Device name: ${dev.name}\n  Bus name: vdev\n  Driver name: ${dev.driver.name}\n  Devargs: ${dev.devargs.text}\n`,
    );
}

function clearPort(pmd: Pmd, args: Args): void {
  for (const dev of pmd.ports.named(args.port as number | "all")) {
    const { what } = args;
    if (what === "stats") dev.statsReset();
    else dev.xstatsReset();
    // Forwarding statistics are differences to the port's, so they begin anew as well.
    const record = pmd.ports.record(dev);
    record.base = dev.statsGet();
    record.shown = undefined;
    pmd.out(`\n  NIC ${what === "stats" ? "statistics" : "extra statistics"} for port ${dev.portId} cleared\n`);
  }
}
