// Which states a device passes on its way to another one: VFIO's finite state machine (linux/vfio.h, "The device state
// machine"), as a pure table. The way is the shortest one whose inner states are outside the saving group (stopCopy,
// preCopy, preCopyP2p), unless both its ends are inside; from stopCopy there is no way back to preCopy; nobody asks for
// "error", and only a reset leaves it. Used by migration.ts; the test walks the whole product.

import { MIGRATION_FLAG } from "../wire/constants.ts";
import type { DeviceState } from "./device.ts";

type Row = Readonly<Record<DeviceState, DeviceState | null>>;

const nowhere: Row = {
  error: null,
  stop: null,
  running: null,
  stopCopy: null,
  resuming: null,
  runningP2p: null,
  preCopy: null,
  preCopyP2p: null,
};

/** By state and goal: the next state of a device that has them all. What a device has not is passed over. */
const NEXT: Readonly<Record<DeviceState, Row>> = {
  error: nowhere,
  stop: {
    error: null,
    stop: "stop",
    running: "runningP2p",
    stopCopy: "stopCopy",
    resuming: "resuming",
    runningP2p: "runningP2p",
    preCopy: "runningP2p",
    preCopyP2p: "runningP2p",
  },
  running: {
    error: null,
    stop: "runningP2p",
    running: "running",
    stopCopy: "runningP2p",
    resuming: "runningP2p",
    runningP2p: "runningP2p",
    preCopy: "preCopy",
    preCopyP2p: "runningP2p",
  },
  stopCopy: { ...nowhere, stop: "stop", running: "stop", stopCopy: "stopCopy", resuming: "stop", runningP2p: "stop" },
  resuming: {
    error: null,
    stop: "stop",
    running: "stop",
    stopCopy: "stop",
    resuming: "resuming",
    runningP2p: "stop",
    preCopy: "stop",
    preCopyP2p: "stop",
  },
  runningP2p: {
    error: null,
    stop: "stop",
    running: "running",
    stopCopy: "stop",
    resuming: "stop",
    runningP2p: "runningP2p",
    preCopy: "running",
    preCopyP2p: "preCopyP2p",
  },
  preCopy: {
    error: null,
    stop: "running",
    running: "running",
    stopCopy: "preCopyP2p",
    resuming: "running",
    runningP2p: "running",
    preCopy: "preCopy",
    preCopyP2p: "preCopyP2p",
  },
  preCopyP2p: {
    error: null,
    stop: "runningP2p",
    running: "runningP2p",
    stopCopy: "stopCopy",
    resuming: "runningP2p",
    runningP2p: "runningP2p",
    preCopy: "preCopy",
    preCopyP2p: "preCopyP2p",
  },
};

const { STOP_COPY, P2P, PRE_COPY } = MIGRATION_FLAG;

/** The flags that a device needs to have a state. */
const NEEDS: Readonly<Record<DeviceState, number>> = {
  error: 0,
  stop: 0,
  running: 0,
  stopCopy: STOP_COPY,
  resuming: 0,
  runningP2p: P2P,
  preCopy: PRE_COPY,
  preCopyP2p: P2P | PRE_COPY,
};

/** Whether a device with these MIGRATION_FLAG bits knows a state. */
export function hasState(flags: number, state: DeviceState): boolean {
  return (flags & NEEDS[state]) === NEEDS[state];
}

/**
 * The states to enter, one arc each, the goal last; empty when `from` is the goal. null: there is no way, or the device
 * has no such state.
 */
export function shortestPath(from: DeviceState, goal: DeviceState, flags: number): DeviceState[] | null {
  if (!hasState(flags, goal)) return null;
  const path: DeviceState[] = [];
  for (let at = from; ; ) {
    let next = NEXT[at][goal];
    while (next !== null && !hasState(flags, next)) next = NEXT[next][goal];
    if (next === null) return null;
    if (next === at) return path;
    path.push(next);
    at = next;
  }
}
