// `vfu regions`: size, flags and mappable areas of every region, also of those that are empty.
import { command, withSocket } from "../command.ts";
import { withTarget } from "../target.ts";
import { type RegionFacts, regionFacts, regionRows } from "../views.ts";

export const regions = command({
  command: "regions <socket>",
  describe: "every region: size, flags, what may be mapped",
  options: (yargs) => withSocket(yargs),
  run: (args, context) =>
    withTarget(args, context, async ({ client }) => {
      const { numRegions } = await client.getInfo();
      const facts: RegionFacts[] = [];
      for (let index = 0; index < numRegions; index++) facts.push(await regionFacts(client, index));
      if (args.json) context.out.json(facts);
      else for (const line of regionRows(facts, true)) context.out.line(line);
      return 0;
    }),
});
