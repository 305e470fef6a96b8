// `vfu reset`: DEVICE_RESET, and how long the device took. The specification sets no limit for that, so only --timeout does.
import { DEVICE_FLAG } from "@emudev/vfio-user";
import { command, withSocket } from "../command.ts";
import { VfuError } from "../errors.ts";
import { withTarget } from "../target.ts";

export const reset = command({
  command: "reset <socket>",
  describe: "reset the device",
  options: (yargs) => withSocket(yargs),
  run: (args, context) =>
    withTarget(args, context, async ({ client, socket }) => {
      const { flags } = await client.getInfo();
      if ((flags & DEVICE_FLAG.RESET) === 0) {
        throw new VfuError("TARGET", `${socket}: the device does not offer reset (its info has no flag 'reset')`);
      }
      const start = performance.now();
      await client.reset({ timeoutMs: args.timeout });
      const ms = performance.now() - start;
      if (args.json) context.out.json({ reset: true, ms });
      else context.out.line(`reset in ${ms.toFixed(1)} ms`);
      return 0;
    }),
});
