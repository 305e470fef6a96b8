// `vfu config`: configuration space as `lspci -xxxx` dumps it, so that `lspci -F file` reads it; or, with --raw, as it is.
import { PCI_REGION } from "@emudev/vfio-user";
import { command, withSocket } from "../command.ts";
import { readSpace } from "../pci/read.ts";
import { dumpHead, hexdump } from "../pci/space.ts";
import { withTarget } from "../target.ts";

export const config = command({
  command: "config <socket>",
  describe: "configuration space in hexadecimal, as lspci -xxxx",
  options: (yargs) => withSocket(yargs),
  run: (args, context) =>
    withTarget(args, context, async ({ client }) => {
      const space = await readSpace(client);
      const { bytes } = space;
      if (args.json) context.out.json({ region: PCI_REGION.CONFIG, bytes: Buffer.from(bytes).toString("hex") });
      else for (const line of [dumpHead(space), ...hexdump(bytes)]) context.out.line(line);
      return 0;
    }),
});
