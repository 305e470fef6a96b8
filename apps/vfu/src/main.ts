#!/usr/bin/env node
// vfu: looks at a vfio-user device, and at the messages between a client and its server. SIGINT and SIGTERM end it in order,
// a second one at once.
import { COMMANDS } from "./commands/index.ts";
import { run } from "./run.ts";

await run(process.argv.slice(2), COMMANDS);
