// What code that runs on an lcore takes from the EAL (`@emudev/eal/data`).
export * from "../layout/lcore.ts";
export { type LcoreEnv, makeLcoreEnv, nowUs } from "./env.ts";
export { pollLoop } from "./poll-loop.ts";
export { stopLcore, wakeLcore } from "./wake.ts";
