// The drivers of this package in one list, for ealInit.
import type { VdevDriver } from "@emudev/eal";
import { nullDriver } from "./null.ts";
import { pcapDriver } from "./pcap.ts";
import { ringDriver } from "./ring.ts";
import { tapDriver } from "./tap.ts";

/** For ealInit. */
export const drivers: VdevDriver[] = [nullDriver, ringDriver, pcapDriver, tapDriver];
