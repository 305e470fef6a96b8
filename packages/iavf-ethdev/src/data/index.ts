export { type IavfKernels, iavfKernels } from "./kernels.ts";
export { openRxQueue, openTxQueue } from "./queues.ts";
