// `vfu watch`: a register or a range, printed whenever it has changed; or, with --irqs, interrupts as the device raises them,
// on eventfds that are bound to every vector. Ends by SIGINT, or after --seconds.
import { type Context, command, withSocket } from "../command.ts";
import { usage, VfuError } from "../errors.ts";
import { bindAll } from "../interrupts.ts";
import { hex, parseNumber, parseRegion, regionName, valueText } from "../names.ts";
import { accessOf, isWidth, placeOf, type Width, withAccess } from "../place.ts";
import { recognise, withTarget } from "../target.ts";

export const watch = command({
  command: "watch <socket> [region] [offset]",
  describe: "print a register when it changes, or interrupts (--irqs) as they come",
  options: (yargs) =>
    withSocket(yargs)
      .positional("region", { type: "string", describe: "bar0..bar5, rom, config, vga or an index" })
      .positional("offset", { type: "string", describe: "decimal, 0x... or a register's name" })
      .option("width", { type: "number", describe: "bytes of a register: 1, 2, 4 or 8" })
      .option("count", { type: "string", describe: "watch so many bytes instead" })
      .option("interval", { type: "number", default: 100, describe: "milliseconds between two looks" })
      .option("seconds", { type: "number", default: 0, describe: "end after so long; 0 is never" })
      .option("mmap", { type: "boolean", default: false, describe: "through the memory that the server lends" })
      .option("irqs", { type: "boolean", default: false, describe: "interrupts instead of registers" })
      .string(["region", "offset", "count"]),
  run: async (args, context) => {
    const { width, interval, seconds } = args;
    if (args.irqs !== (args.offset === undefined)) throw usage("watch wants a region and an offset, or --irqs");
    if (!(interval >= 1 && interval <= 3_600_000)) throw usage(`--interval ${interval}: expected 1 to 3600000 ms`);
    if (!(seconds >= 0)) throw usage("--seconds: expected a number from 0 up");
    if (width !== undefined && !isWidth(width)) throw usage(`--width ${width}: expected 1, 2, 4 or 8`);
    const region = args.region === undefined ? 0 : parseRegion(args.region);
    const count = args.count === undefined ? undefined : parseNumber("--count", args.count, 1, 65536);
    const until = endOf(context.signal, seconds);
    await withTarget(args, context, async ({ client, socket }) => {
      let lost: VfuError | null = null;
      const gone = new Promise<void>((resolve) =>
        client.onClose(() => {
          lost = new VfuError("TARGET", `${socket}: the server closed the connection`);
          resolve();
        }),
      );
      if (args.irqs) {
        const release = await bindAll(client, context, (irq, vector, times) =>
          print(context, args.json, { irq, vector, times }),
        );
        await Promise.race([until.promise, gone]);
        await release();
      } else {
        const place = placeOf(await recognise(client), region, args.offset ?? "", width as Width | undefined);
        const bytes = count ?? place.width;
        await withAccess(accessOf(client, args.mmap), region, place.offset, bytes, async (access) => {
          const name = place.name ?? `${regionName(region)}+${hex(place.offset)}`;
          let last = "";
          while ((last === "" || !until.over()) && client.open) {
            const value = valueText(await access.read(bytes), bytes);
            if (value !== last) print(context, args.json, { name, value });
            last = value;
            await Promise.race([pause(interval), until.promise, gone]);
          }
        });
      }
      if (lost !== null && !until.over()) throw lost;
    })
      .catch((error) => {
        if (!context.signal.aborted) throw error;
      })
      .finally(until.clear);
    return 0;
  },
});

function print({ out }: Context, json: boolean, what: Record<string, string | number>): void {
  const time = new Date().toISOString();
  if (json) out.json({ time, ...what });
  else out.line(`${time}  ${Object.values(what).join("  ")}`);
}

function endOf(signal: AbortSignal, seconds: number) {
  let done = false;
  let timer: NodeJS.Timeout | undefined;
  const promise = new Promise<void>((resolve) => {
    const end = (): void => {
      done = true;
      resolve();
    };
    signal.addEventListener("abort", end, { once: true });
    if (seconds > 0) timer = setTimeout(end, 1000 * seconds);
  });
  return { promise, over: () => done, clear: () => clearTimeout(timer) };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
