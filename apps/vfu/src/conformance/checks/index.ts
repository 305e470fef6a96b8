// All checks, in the order in which they run.
import type { Check } from "../check.ts";
import { DMA } from "./dma.ts";
import { FEATURES } from "./features.ts";
import { INFOS } from "./info.ts";
import { IRQS } from "./irqs.ts";
import { NEGOTIATE } from "./negotiate.ts";
import { REGIONS } from "./regions.ts";
import { REQUESTS } from "./requests.ts";

export const CHECKS: readonly Check[] = [...NEGOTIATE, ...REQUESTS, ...INFOS, ...IRQS, ...DMA, ...REGIONS, ...FEATURES];
