// The guest's side of the idle bench as a process of its own. Arguments: socket, CPU, count of packets; prints the round trips
// in microseconds as a line of JSON, then waits without sending until its input ends. Started by bench.ts.
import { openGuest } from "../latency/guest.ts";
import type { FirstArg } from "./first.ts";

const IDLE_US = 1e6;
const LOST_US = 10e6; // a busy machine is late, and that is no loss

const [path, cpu, count] = process.argv.slice(2);
const { eal, port, pool, macs } = await openGuest(path!, cpu!);
const arg: FirstArg = {
  port: port.dataPort(),
  pool,
  macs,
  idleUs: IDLE_US,
  lostUs: LOST_US,
  count: Number(count),
};
const trips = await eal.lcores.launch(1, { module: new URL("./first.js", import.meta.url).href, arg });
console.log(JSON.stringify(trips));
process.stdin.resume();
await new Promise((resolve) => process.stdin.on("end", resolve));
await eal.cleanup();
process.exit(0);
