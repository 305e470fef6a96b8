// Ports without hardware: net_null, net_ring, net_pcap and net_tap.
import type { VdevDriver } from "@emudev/eal";
import { nullDriver } from "./control/null.ts";
import { pcapDriver } from "./control/pcap.ts";
import { ringDriver } from "./control/ring.ts";
import { tapDriver } from "./control/tap.ts";

export { SoftEthdevError, type SoftEthdevErrorCode } from "./control/errors.ts";

/** For ealInit. */
export const drivers: VdevDriver[] = [nullDriver, ringDriver, pcapDriver, tapDriver];
