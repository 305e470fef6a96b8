// `vfu read`: one register, or a number of bytes, of any region: by offset or by name, through the socket or, with --mmap, from
// memory that the server lends.
import { command, withSocket } from "../command.ts";
import { usage } from "../errors.ts";
import { hex, littleEndian, parseNumber, parseRegion, regionName, valueText } from "../names.ts";
import { hexdump } from "../pci/space.ts";
import { accessOf, isWidth, placeOf, type Width, withAccess } from "../place.ts";
import { recognise, withTarget } from "../target.ts";

export const read = command({
  command: "read <socket> <region> <offset> [width]",
  describe: "read a register: vfu read S bar0 0x8800 4; vfu read S config STATUS",
  options: (yargs) =>
    withSocket(yargs)
      .positional("region", {
        type: "string",
        demandOption: true,
        describe: "bar0..bar5, rom, config, vga or an index",
      })
      .positional("offset", { type: "string", demandOption: true, describe: "decimal, 0x... or a register's name" })
      .positional("width", { type: "string", describe: "bytes: 1, 2, 4 or 8; the register's own, or 4" })
      .option("count", { type: "string", describe: "read so many bytes in one access and dump them" })
      .option("mmap", { type: "boolean", default: false, describe: "through the memory that the server lends" })
      .string(["region", "offset", "width", "count"]),
  run: async (args, context) => {
    const region = parseRegion(args.region);
    const width = args.width === undefined ? undefined : parseNumber("width", args.width, 1, 8);
    if (width !== undefined && !isWidth(width)) throw usage(`width '${args.width}': expected 1, 2, 4 or 8`);
    const count = args.count === undefined ? undefined : parseNumber("--count", args.count, 1, 1 << 28);
    if (count !== undefined && width !== undefined) throw usage("give a width or --count, not both");
    return withTarget(args, context, async ({ client }) => {
      const place = placeOf(await recognise(client), region, args.offset, width as Width | undefined);
      const bytes = await withAccess(
        accessOf(client, args.mmap),
        region,
        place.offset,
        count ?? place.width,
        (access) => access.read(count ?? place.width),
      );
      const shown = { region: regionName(region), offset: hex(place.offset), name: place.name };
      if (args.json && count === undefined) {
        context.out.json({ ...shown, width: place.width, value: hex(littleEndian(bytes), 2 * place.width) });
      } else if (args.json) context.out.json({ ...shown, count, bytes: Buffer.from(bytes).toString("hex") });
      else if (count === undefined) context.out.line(valueText(bytes));
      else for (const line of hexdump(bytes, place.offset, 8)) context.out.line(line);
      return 0;
    });
  },
});
