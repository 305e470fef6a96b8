// How an lcore gets at a port: the port's plain data names the driver's data module, which is imported in the lcore's own
// thread and makes objects over the queues' states in the arena. So no lower layer imports a driver. Called once, before
// polling.
import type { LcoreEnv } from "@emudev/eal/data";
import type { DataPort } from "../control/types.ts";

/** A receive queue as its lcore sees it. */
export interface RxQueue {
  /**
   * Takes up to `n` packets. Never blocks; fewer than `n` usually means that the queue is empty.
   * @param pktsOff arena offset of an array of n u32, which receives the mbufs' offsets; the caller owns them
   */
  burst(pktsOff: number, n: number): number;
  /** Whether whatever comes next is announced by a wake-up of the lcores, so that they may wait; without it: no. */
  announced?(): boolean;
  /**
   * Whether packets may be lent: their data stays where the sender has it, may not be written to, and is gone at the next
   * burst. Only for a caller that is done with a burst before it asks for the next one. Off at first.
   */
  lend?(on: boolean): void;
}

/** A transmit queue as its lcore sees it. */
export interface TxQueue {
  /** What a burst accepts is copied, or written, before it returns: the packets may be lent ones. */
  readonly immediate?: boolean;
  /**
   * Gives up to `n` packets to the driver, which owns the first of them, as many as it returns; the rest stays the caller's.
   * @param pktsOff arena offset of an array of n u32, the mbufs' offsets
   */
  burst(pktsOff: number, n: number): number;
  /** Work that a quiet queue needs now and then: called in turns that had nothing to send. */
  flush?(): void;
}

/** What a driver's data module exports. */
export interface DriverDataModule {
  openRxQueue(env: LcoreEnv, off: number, portId: number, queueId: number): RxQueue;
  openTxQueue(env: LcoreEnv, off: number, portId: number, queueId: number): TxQueue;
}

export interface DataPortHandle {
  rx: RxQueue[];
  tx: TxQueue[];
}

/** Imports a port's data module. */
export async function importDriver(module: string): Promise<DriverDataModule> {
  const driver = (await import(module)) as Partial<DriverDataModule>;
  if (typeof driver.openRxQueue !== "function" || typeof driver.openTxQueue !== "function")
    throw new TypeError(`${module} is no data module of a driver: it must export openRxQueue and openTxQueue`);
  return driver as DriverDataModule;
}

/** Opens all queues of a port for the lcore of `env`. */
export async function openPort(env: LcoreEnv, port: DataPort): Promise<DataPortHandle> {
  const driver = await importDriver(port.module);
  return {
    rx: port.rx.map((off, queue) => driver.openRxQueue(env, off, port.portId, queue)),
    tx: port.tx.map((off, queue) => driver.openTxQueue(env, off, port.portId, queue)),
  };
}
