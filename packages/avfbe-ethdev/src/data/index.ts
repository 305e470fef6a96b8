export { openRxQueue, openTxQueue } from "./queues.ts";
