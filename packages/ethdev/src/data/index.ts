// What code that runs on an lcore takes from the port class (`@emudev/ethdev/data`).
export type { DataPort } from "../control/types.ts";
export * from "../layout/queue-stats.ts";
export {
  type DataPortHandle,
  type DriverDataModule,
  importDriver,
  openPort,
  type RxQueue,
  type TxQueue,
} from "./open-port.ts";
