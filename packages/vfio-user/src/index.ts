// The vfio-user protocol from both ends, and the PCI configuration space that devices show through it.

export type { DmaHandlers } from "./client/channel.ts";
export { type ClientOptions, type RegionInfo, VfioUserClient } from "./client/client.ts";
export { type Clock, type Log, SILENT, SYSTEM_CLOCK } from "./environment.ts";
export { errnoOf, refusal, VfioUserError, type VfioUserErrorCode } from "./errors.ts";
export type {
  ClientInfo,
  DmaRegion,
  IrqSpec,
  RegionMmap,
  RegionSpec,
  ResetReason,
  VfioUserDevice,
} from "./server/device.ts";
export { type ServerOptions, VfioUserServer } from "./server/server.ts";
export type { Stats } from "./server/stats.ts";
export * from "./wire/constants.ts";
export * as wire from "./wire/index.ts";
export type { Capabilities } from "./wire/version.ts";
