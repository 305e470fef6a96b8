#!/usr/bin/env node
// testpmd: EAL arguments, `--`, and its own options. SIGINT and SIGTERM end it in order, a second one at once.
import { DRIVERS } from "./drivers.ts";
import { run } from "./run.ts";

await run(process.argv.slice(2), DRIVERS);
