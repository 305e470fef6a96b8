// `vfu lspci`: configuration space in the words of `lspci -vvv`. Nothing is written to the device unless --size-bars is given.
import { command, withSocket } from "../command.ts";
import { hex, sizeText } from "../names.ts";
import { barsOf, sizeBars } from "../pci/bars.ts";
import { capabilities } from "../pci/capabilities.ts";
import { extendedCapabilities } from "../pci/extended.ts";
import { decodeHeader, headerFields, headerLines } from "../pci/header.ts";
import { readSpace } from "../pci/read.ts";
import { capabilityLines } from "../pci/space.ts";
import { withTarget } from "../target.ts";
import { regionFacts } from "../views.ts";

export const lspci = command({
  command: "lspci <socket>",
  describe: "header, BARs and capabilities, decoded as lspci -vvv",
  options: (yargs) =>
    withSocket(yargs).option("size-bars", {
      type: "boolean",
      default: false,
      describe: "find the sizes by writing to the BARs instead of from the regions",
    }),
  run: (args, context) =>
    withTarget(args, context, async ({ client }) => {
      const sizes: number[] = [];
      for (let index = 0; index <= 6; index++) sizes.push((await regionFacts(client, index)).size);
      const sized = args["size-bars"] ? await sizeBars(client) : null;
      const space = await readSpace(client);
      const header = decodeHeader(space);
      const bars = sized ?? barsOf(space, sizes);
      const first = capabilities(space);
      const second = extendedCapabilities(space);
      const broken = [first.broken, second.broken].flatMap((text) => text ?? []);
      if (args.json) {
        context.out.json({
          ...headerFields(header),
          bars: bars.map((bar) => ({ ...bar, address: hex(bar.address), size: Number(bar.size) })),
          capabilities: first.list.map(({ lines: _lines, ...rest }) => rest),
          extendedCapabilities: second.list.map(({ lines: _lines, ...rest }) => rest),
          broken,
        });
        return 0;
      }
      const lines = [
        ...headerLines(space, header, bars),
        ...capabilityLines(first.list),
        ...capabilityLines(second.list),
        ...broken.map((text) => `\tBroken: ${text}`),
      ];
      for (const line of lines) context.out.line(line);
      for (const { index, size } of sized ?? []) {
        const told = sizes[index] ?? 0;
        if (told > 0 && Number(size) < told) {
          context.warn(`BAR${index} decodes ${sizeText(Number(size))}, less than its region's ${sizeText(told)}`);
        }
      }
      return 0;
    }),
});
