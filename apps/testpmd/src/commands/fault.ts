// Commands that make an emulated device misbehave: `fault emu_iavf0 drop ENABLE_QUEUES`, for whoever tests its driver. The kinds and
// their arguments are the provider's table.
import { EmuIavfError, FAULT_KINDS, injectFault, show } from "@emudev/avf-emudev";
import { PmdError } from "../errors.ts";
import type { Pmd } from "../pmd.ts";
import { noDevice } from "./emulated.ts";
import type { Args, Command, Section } from "./parser.ts";

export const FAULT: Section = {
  name: "fault",
  title: "Faults of emulated devices",
  commands: [
    ...FAULT_KINDS.map(({ name, args, help }): Command => {
      const labels = [...args.matchAll(/<(\w+)>/g)].map((match) => match[1]!);
      return {
        syntax: `fault <device> ${name} ${args}`.trimEnd(),
        help,
        run: (pmd, given) => inject(pmd, given, [name, ...labels.map((label) => given[label] as string | undefined)]),
      };
    }),
    { syntax: "show fault <device>", help: "the faults that are in effect", run: (pmd, args) => list(pmd, args) },
  ],
};

async function inject(pmd: Pmd, args: Args, words: readonly (string | undefined)[]): Promise<void> {
  try {
    await injectFault(
      args.device as string,
      words.filter((word) => word !== undefined),
    );
  } catch (error) {
    if (!(error instanceof EmuIavfError)) throw error;
    throw new PmdError("COMMAND", error.message);
  }
  list(pmd, args);
}

function list(pmd: Pmd, { device }: Args): void {
  const shown = show(device as string);
  if (shown === null) throw noDevice(device as string);
  const faults = shown.faults as string[];
  pmd.out(`Faults of ${device}: ${faults.join("; ") || "none"}\n`);
}
