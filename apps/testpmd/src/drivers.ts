// The drivers that this application knows: each package of layer 3 exports its own list. Given to ealInit by main.ts.
import { drivers as avf } from "@emudev/avf-emudev";
import { drivers as avfbe } from "@emudev/avfbe-ethdev";
import type { VdevDriver } from "@emudev/eal";
import { drivers as iavf } from "@emudev/iavf-ethdev";
import { drivers as soft } from "@emudev/soft-ethdev";

export const DRIVERS: readonly VdevDriver[] = [...soft, ...avf, ...avfbe, ...iavf];
