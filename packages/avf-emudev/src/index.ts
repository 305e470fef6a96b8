// The provider of an Adaptive Virtual Function.
export type { GuestMemory } from "./control/admin-queue.ts";
export { Counters } from "./control/counters.ts";
export { AvfDevice } from "./control/device.ts";
export { drivers } from "./control/driver.ts";
export { AvfEmuError, type AvfEmuErrorCode } from "./control/errors.ts";
export { PARAMS, type Params } from "./control/params.ts";
