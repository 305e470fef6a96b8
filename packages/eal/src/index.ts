// The environment abstraction layer: arguments, devargs, the vdev bus, lcores, logs and telemetry.
export { cpuMhz, cyclesOf } from "./control/cpu-clock.ts";
export { type Devargs, parseDevargs } from "./control/devargs.ts";
export {
  checkDevargs,
  type DevargsOf,
  type DevargsParam,
  type DevargsSchema,
  parseMac,
} from "./control/devargs-schema.ts";
export { type Eal, type EalInitOptions, eal, ealInit, ealVersion } from "./control/init.ts";
export { formatSet, type LcoreSpec, parseCoremask, parseLcores } from "./control/lcore-list.ts";
export {
  type LcoreUsage,
  lcoreUsage,
  POLL_MODES,
  type PollMode,
  recordCoreCycles,
  setPollMode,
} from "./control/lcore-usage.ts";
export type { DeathHandler, LaunchTask, Lcore, LcoreState, Lcores } from "./control/lcores.ts";
export { LOG_LEVELS, type Logger, type LogLevel, type LogRule, Logs, parseLogRule } from "./control/log.ts";
export { type EalOptions, ealUsage, parseEalArgs } from "./control/options.ts";
export { acquireRuntimeDir, type RuntimeDir, runtimePath } from "./control/runtime-dir.ts";
export { Telemetry, type TelemetryHandler } from "./control/telemetry.ts";
export { VdevBus, type VdevDevice, type VdevDriver } from "./control/vdev-bus.ts";
export { stopLcore, wakeLcore } from "./data/wake.ts";
export { EalError, type EalErrorCode } from "./errors.ts";
export * from "./layout/lcore.ts";
