// The provider of an Adaptive Virtual Function.
export type { GuestMemory } from "./control/admin-ring.ts";
export { Counters } from "./control/counters.ts";
export { AvfDevice } from "./control/device.ts";
export { drivers, show } from "./control/driver.ts";
export { EmuIavfError, type EmuIavfErrorCode } from "./control/errors.ts";
export { PARAMS, type Params } from "./control/params.ts";
