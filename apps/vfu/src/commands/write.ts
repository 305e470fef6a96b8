// `vfu write`: one register, by offset or name; --verify reads it back and says what stuck, --posted asks for no reply.
import { command, withSocket } from "../command.ts";
import { usage } from "../errors.ts";
import { hex, parseRegion, parseValue, regionName, valueText } from "../names.ts";
import { accessOf, isWidth, placeOf, type Width, withAccess } from "../place.ts";
import { recognise, withTarget } from "../target.ts";

export const write = command({
  command: "write <socket> <region> <offset> <value>",
  describe: "write a register: vfu write S bar0 0x8800 0x1 --width 4",
  options: (yargs) =>
    withSocket(yargs)
      .positional("region", {
        type: "string",
        demandOption: true,
        describe: "bar0..bar5, rom, config, vga or an index",
      })
      .positional("offset", { type: "string", demandOption: true, describe: "decimal, 0x... or a register's name" })
      .positional("value", { type: "string", demandOption: true, describe: "decimal or 0x..." })
      .option("width", { type: "number", describe: "bytes: 1, 2, 4 or 8; the register's own, or 4" })
      .option("mmap", { type: "boolean", default: false, describe: "through the memory that the server lends" })
      .option("posted", { type: "boolean", default: false, describe: "ask for no reply" })
      .option("verify", { type: "boolean", default: false, describe: "read back and print" })
      .string(["region", "offset", "value"]),
  run: async (args, context) => {
    const region = parseRegion(args.region);
    const { width } = args;
    if (width !== undefined && !isWidth(width)) throw usage(`--width ${width}: expected 1, 2, 4 or 8`);
    if (args.mmap && args.posted) throw usage("--mmap sends no message that could be --posted");
    return withTarget(args, context, async ({ client }) => {
      const place = placeOf(await recognise(client), region, args.offset, width as Width | undefined);
      const data = parseValue(args.value, place.width);
      const back = await withAccess(accessOf(client, args.mmap), region, place.offset, place.width, async (access) => {
        await access.write(data, args.posted);
        return args.verify ? access.read(place.width) : null;
      });
      const shown = { region: regionName(region), offset: hex(place.offset), name: place.name, width: place.width };
      const readBack = back === null ? null : valueText(back);
      if (args.json) context.out.json({ ...shown, value: valueText(data), readBack });
      else if (readBack !== null) context.out.line(readBack);
      return 0;
    });
  },
});
