// The table of subcommands, in the order in which --help lists them.
import type { Command } from "../command.ts";
import { bench } from "./bench.ts";
import { config } from "./config.ts";
import { conformance } from "./conformance.ts";
import { info } from "./info.ts";
import { irqs } from "./irqs.ts";
import { lspci } from "./lspci.ts";
import { read } from "./read.ts";
import { regions } from "./regions.ts";
import { reset } from "./reset.ts";
import { shell } from "./shell.ts";
import { trace } from "./trace.ts";
import { watch } from "./watch.ts";
import { write } from "./write.ts";

export const COMMANDS: readonly Command[] = [
  info,
  regions,
  irqs,
  config,
  lspci,
  read,
  write,
  reset,
  watch,
  shell,
  trace,
  conformance,
  bench,
];
