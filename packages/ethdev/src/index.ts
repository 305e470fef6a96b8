// The port class: configure, queues, burst, statistics and link.
export { EthDev, type EthDevSpec, type QueueSetup } from "./control/eth-dev.ts";
export {
  ETH_PORTS_MAX,
  ethDev,
  ethDevAllocate,
  ethDevByName,
  ethDevRelease,
  ethDevs,
  onEthDev,
} from "./control/registry.ts";
export { adviceFor, nextState, PORT_EVENTS, PORT_STATES, type PortEvent, type PortState } from "./control/states.ts";
export type {
  DataPort,
  DescLim,
  EthConf,
  EthDevEvent,
  EthDevInfo,
  EthDevOps,
  EthLink,
  EthQueueConf,
  EthStats,
} from "./control/types.ts";
export { EthDevError, type EthDevErrorCode } from "./errors.ts";
export * from "./layout/queue-stats.ts";
