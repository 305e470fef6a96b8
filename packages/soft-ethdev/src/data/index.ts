// The data module of the four drivers: what an lcore imports to burst on their queues.
export { openRxQueue, openTxQueue } from "./open.ts";
