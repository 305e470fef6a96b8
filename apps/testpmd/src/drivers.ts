// The drivers that this application knows: each package of layer 3 exports its own list.

import * as avf from "@emudev/avf-emudev";
import * as avfbe from "@emudev/avfbe-ethdev";
import type { VdevDriver } from "@emudev/eal";
import * as iavf from "@emudev/iavf-ethdev";
import * as soft from "@emudev/soft-ethdev";

export const DRIVERS: readonly VdevDriver[] = [soft, avf, avfbe, iavf].flatMap(
  (module) => (module as { drivers?: readonly VdevDriver[] }).drivers ?? [],
);
