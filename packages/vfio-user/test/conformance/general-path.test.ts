// The conformance tests again, with every register access on the general path (commands/region.ts) instead of the short
// one (register-path.ts): the two must not differ in anything that a client can see. register-path.test.ts compares them on
// drawn messages.

import { describe } from "vitest";
import { Rig } from "./support.ts";

Rig.shortcut = false;

for (const name of [
  "setup-region",
  "request-errors",
  "pci-caps",
  "pci-ext-caps",
  "quiesce",
  "migration",
  "dirty-pages",
]) {
  describe(name, async () => {
    await import(`./${name}.test.ts`);
  });
}
