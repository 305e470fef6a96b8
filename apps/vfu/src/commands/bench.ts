// `vfu bench`: how long a server takes for a register read, and with --write for writes; maps and connections too. Latencies
// come as a histogram. Reads may have side effects: the place is the user's choice, by default the vendor id.
import { closeFd, memfdCreate } from "@emudev/linux";
import { PCI_REGION, VfioUserClient } from "@emudev/vfio-user";
import { type Context, command, withSocket } from "../command.ts";
import { usage } from "../errors.ts";
import { Histogram } from "../histogram.ts";
import { hex, parseRegion, regionName } from "../names.ts";
import { isWidth, placeOf } from "../place.ts";
import { explained } from "../refused.ts";
import { recognise, withTarget } from "../target.ts";

const MAP_BYTES = 1 << 20;
const MAP_IOVA = 1n << 40n;
const CONNECTS = 50;
const POSTED_AT_ONCE = 64;

export const bench = command({
  command: "bench <socket>",
  describe: "latencies of register reads, and with --write of writes, as a histogram",
  options: (yargs) =>
    withSocket(yargs)
      .option("region", { type: "string", default: "config", describe: "bar0..bar5, rom, config, vga or an index" })
      .option("offset", { type: "string", default: "0", describe: "decimal, 0x... or a register's name" })
      .option("width", { type: "number", describe: "bytes: 1, 2, 4 or 8 (4)" })
      .option("seconds", { type: "number", default: 2, describe: "of each kind of access" })
      .option("write", { type: "string", describe: "also write this value there, with replies and posted" }),
  run: async (args, context) => {
    const { seconds, width } = args;
    if (!(seconds > 0 && seconds <= 3600)) throw usage(`--seconds ${seconds}: expected more than 0, 3600 at most`);
    if (width !== undefined && !isWidth(width)) throw usage(`--width ${width}: expected 1, 2, 4 or 8`);
    const region = parseRegion(args.region);
    const lines: Line[] = [];
    await withTarget(args, context, async ({ client }) => {
      const known = region === PCI_REGION.CONFIG ? null : await recognise(client);
      const place = placeOf(known, region, args.offset, width);
      const where = `${place.name ?? `${regionName(region)}+${hex(place.offset)}`} ${place.width}`;
      const read = (): Promise<unknown> => client.regionRead(region, place.offset, place.width);
      await explained(client, { region, offset: place.offset, count: place.width, verb: "read" }, read);
      lines.push(await timed(`read ${where}`, seconds, context.signal, read));
      if (args.write !== undefined) {
        const data = bytesOf(args.write, place.width);
        const write = (): Promise<void> => client.regionWrite(region, place.offset, data);
        lines.push(await timed(`write ${where}`, seconds, context.signal, write));
        const posted = (): Promise<void> => client.regionWrite(region, place.offset, data, { posted: true });
        lines.push(await rate(`posted write ${where}`, seconds, context.signal, posted, read));
      }
      lines.push(await maps(client, seconds / 2, context.signal));
    });
    lines.push(await connects(args.socket, args.timeout, context.signal));
    print(lines, args.json, context);
    return 0;
  },
});

interface Line {
  what: string;
  perSecond: number;
  histogram: Histogram | null;
}

async function timed(what: string, seconds: number, signal: AbortSignal, once: () => Promise<unknown>): Promise<Line> {
  const histogram = new Histogram();
  const start = performance.now();
  for (let now = start; now - start < 1000 * seconds && !signal.aborted; ) {
    await once();
    const after = performance.now();
    histogram.add(1000 * (after - now));
    now = after;
  }
  return { what, perSecond: (1000 * histogram.count) / (performance.now() - start), histogram };
}

/** Posted writes have no reply: a read now and then tells that the server has had them. */
async function rate(
  what: string,
  seconds: number,
  signal: AbortSignal,
  once: () => Promise<void>,
  settle: () => Promise<unknown>,
): Promise<Line> {
  const start = performance.now();
  let count = 0;
  while (performance.now() - start < 1000 * seconds && !signal.aborted) {
    for (let i = 0; i < POSTED_AT_ONCE; i++) await once();
    await settle();
    count += POSTED_AT_ONCE;
  }
  return { what, perSecond: (1000 * count) / (performance.now() - start), histogram: null };
}

async function maps(client: VfioUserClient, seconds: number, signal: AbortSignal): Promise<Line> {
  const fd = memfdCreate("vfu-bench", MAP_BYTES);
  try {
    return await timed("map and unmap 1 MiB", seconds, signal, async () => {
      await client.dmaMap({ iova: MAP_IOVA, size: BigInt(MAP_BYTES), prot: 3, fd });
      await client.dmaUnmap(MAP_IOVA, BigInt(MAP_BYTES));
    });
  } finally {
    closeFd(fd);
  }
}

/** From connect(2) to the first answer, VERSION between them. A server that is still busy with the last client is asked again. */
async function connects(socket: string, timeoutMs: number, signal: AbortSignal): Promise<Line> {
  const histogram = new Histogram();
  const start = performance.now();
  while (histogram.count < CONNECTS && !signal.aborted && performance.now() - start < timeoutMs) {
    const begin = performance.now();
    try {
      const client = await VfioUserClient.connect(socket, { timeoutMs });
      await client.getInfo();
      histogram.add(1000 * (performance.now() - begin));
      client.close();
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
  return { what: "connect to ready", perSecond: (1000 * histogram.count) / (performance.now() - start), histogram };
}

function bytesOf(text: string, width: number): Uint8Array {
  const bytes = new Uint8Array(8);
  try {
    const value = BigInt(text);
    if (value < 0n || value >= 1n << BigInt(8 * width)) throw new RangeError();
    new DataView(bytes.buffer).setBigUint64(0, value, true);
  } catch {
    throw usage(`--write ${text}: expected a number of ${width} bytes, decimal or 0x...`);
  }
  return bytes.subarray(0, width);
}

function print(lines: readonly Line[], json: boolean, { out }: Context): void {
  const facts = lines.map(({ what, perSecond, histogram }) => ({
    what,
    count: histogram?.count ?? null,
    perSecond: Math.round(perSecond),
    p50: histogram?.quantile(0.5) ?? null,
    p90: histogram?.quantile(0.9) ?? null,
    p99: histogram?.quantile(0.99) ?? null,
    p999: histogram?.quantile(0.999) ?? null,
    max: histogram?.max ?? null,
    histogram,
  }));
  if (json) {
    out.json(facts.map(({ histogram: _, ...rest }) => rest));
    return;
  }
  for (const { what, perSecond, p50, p90, p99, p999, max, histogram } of facts) {
    out.line(`${what}: ${perSecond.toLocaleString("en")} a second`);
    if (p50 === null || p90 === null || p99 === null || p999 === null || max === null) continue;
    const text = { p50, p90, p99, "p99.9": p999, max };
    out.line(
      `  ${Object.entries(text)
        .map(([name, value]) => `${name} ${value.toFixed(1)} us`)
        .join(", ")}`,
    );
    for (const bar of histogram?.bars() ?? []) out.line(bar);
  }
}
