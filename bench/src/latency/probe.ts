// The guest's side of a latency measurement as a process of its own: net_iavf on one CPU, against a device that sends every
// packet back. Arguments: socket, CPU, bytes, milliseconds; prints a line of JSON, a Trips, for full load and for each share
// of it. Started by bench.ts.
import { openGuest } from "./guest.ts";
import type { Pace, PacerArg } from "./pacer.ts";
import { SHARES, tripsOf } from "./trips.ts";

const [path, cpu, bytes, ms] = process.argv.slice(2);
const { eal, port, pool, macs } = await openGuest(path!, cpu!);

const pace = async (perUs: number): Promise<Pace> => {
  const runUs = Number(ms) * 1000;
  const times = { warmUs: runUs / 4, runUs, drainUs: 500_000 };
  const arg: PacerArg = { port: port.dataPort(), pool, bytes: Number(bytes), macs, perUs, ...times };
  return (await eal.lcores.launch(1, { module: new URL("./pacer.js", import.meta.url).href, arg })) as Pace;
};

const full = await pace(Number.POSITIVE_INFINITY);
console.log(JSON.stringify(tripsOf(1, full)));
for (const share of SHARES) console.log(JSON.stringify(tripsOf(share, await pace((share * full.pps) / 1e6))));
await eal.cleanup();
process.exit(0);
