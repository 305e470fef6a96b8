// net_iavf: an ethdev driver for an AVF behind a vfio-user socket.
export { drivers, netIavf } from "./control/driver.ts";
export { IavfError, type IavfErrorCode } from "./control/errors.ts";
export { IOVA_BASE } from "./control/iova.ts";
export * from "./layout/doorbell.ts";
export * from "./layout/rx-queue.ts";
export * from "./layout/tx-queue.ts";
