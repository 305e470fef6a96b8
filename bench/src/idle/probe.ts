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
let measured = false;
const ended = new Promise<void>((resolve) => process.stdin.resume().once("end", resolve));
// Also when who started it goes away meanwhile.
void ended.then(() => {
  if (!measured) process.exit(1);
});
const trips = await eal.lcores.launch(1, { module: new URL("./first.js", import.meta.url).href, arg });
measured = true;
console.log(JSON.stringify(trips));
await ended;
await eal.cleanup();
process.exit(0);
