// The provider of an Adaptive Virtual Function.
export type { GuestMemory } from "./control/admin-ring.ts";
export { Counters } from "./control/counters.ts";
export { AvfDevice } from "./control/device.ts";
export { drivers, injectFault, names, show } from "./control/driver.ts";
export { EmuIavfError, type EmuIavfErrorCode } from "./control/errors.ts";
export { DESCRIPTOR_ERRORS, FAULT_KINDS, FAULT_MESSAGES, type FaultKind } from "./control/faults/kinds.ts";
export { PARAMS, type Params } from "./control/params.ts";
