// `vfu irqs`: every interrupt index with its vectors and flags, also those that have none.
import { command, withSocket } from "../command.ts";
import { withTarget } from "../target.ts";
import { type IrqFacts, irqFacts, irqRows } from "../views.ts";

export const irqs = command({
  command: "irqs <socket>",
  describe: "every interrupt index: number of vectors, flags",
  options: (yargs) => withSocket(yargs),
  run: (args, context) =>
    withTarget(args, context, async ({ client }) => {
      const { numIrqs } = await client.getInfo();
      const facts: IrqFacts[] = [];
      for (let index = 0; index < numIrqs; index++) facts.push(await irqFacts(client, index));
      if (args.json) context.out.json(facts);
      else for (const line of irqRows(facts, true)) context.out.line(line);
      return 0;
    }),
});
