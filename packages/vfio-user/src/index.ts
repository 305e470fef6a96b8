// The vfio-user protocol from both ends, and the PCI configuration space that devices show through it.

export {
  getIrq,
  getMemTable,
  getSockAddr,
  register,
  setDevInfo,
  setIrqInfo,
  setRegInfo,
  setResource,
  start,
  stop,
  unregister,
} from "./api/library.ts";
export * as api from "./api/types.ts";
export type { DmaHandlers } from "./client/channel.ts";
export { VfioUserClient } from "./client/client.ts";
export { closeIoFds } from "./client/io-fds.ts";
export type { ClientOptions, DmaMapRequest, RegionInfo } from "./client/types.ts";
export type { RegionWrite } from "./client/write-multi.ts";
export { type Clock, type Log, SILENT, SYSTEM_CLOCK } from "./environment.ts";
export { errnoOf, refusal, stateLost, VfioUserError, type VfioUserErrorCode } from "./errors.ts";
export { PciDevice, pciDevice } from "./kit/device.ts";
export { DmaMemory } from "./kit/dma.ts";
export type { Interrupts } from "./kit/interrupts.ts";
export { type RegisterFile, type RegisterSpec, registers } from "./kit/registers.ts";
export { serve } from "./kit/serve.ts";
export type { BarDeclaration, InterruptDeclaration, PciDeviceSpec } from "./kit/spec.ts";
export type {
  CapabilitySpec,
  ExtendedCapabilitySpec,
  MsiSpec,
  MsixSpec,
  PcieSpec,
  VendorSpec,
  VsecSpec,
} from "./pci/capability-spec.ts";
export { PciConfig } from "./pci/config.ts";
export * as pci from "./pci/registers.ts";
export type { BarSpec, PciConfigSpec } from "./pci/spec.ts";
export type { PeerRule } from "./server/admission.ts";
export type {
  ClientInfo,
  DeviceState,
  DirtyLogOps,
  DmaMode,
  DmaRegion,
  IoFd,
  IoFdType,
  IrqSpec,
  MigrationOps,
  RegionMmap,
  RegionSpec,
  ResetReason,
  VfioUserDevice,
} from "./server/device.ts";
export { DirtyPages } from "./server/dirty-pages.ts";
export { type ServerOptions, VfioUserServer } from "./server/server.ts";
export type { Stats } from "./server/stats.ts";
export { type Listening, listenAt } from "./transport/address.ts";
export * from "./wire/constants.ts";
export * as wire from "./wire/index.ts";
export type { Capabilities } from "./wire/version.ts";
