// The way between two device states, for every state, goal and kind of device: against a search through the arcs that
// linux/vfio.h names, and its rule about states of the saving group on the way.

import { describe, expect, test } from "vitest";
import { MIGRATION_FLAG } from "../src/index.ts";
import type { DeviceState } from "../src/server/device.ts";
import { hasState, shortestPath } from "../src/server/migration-states.ts";

const { STOP_COPY, P2P, PRE_COPY } = MIGRATION_FLAG;
const STATES: DeviceState[] = [
  "error",
  "stop",
  "running",
  "stopCopy",
  "resuming",
  "runningP2p",
  "preCopy",
  "preCopyP2p",
];
const SAVING = new Set<DeviceState>(["stopCopy", "preCopy", "preCopyP2p"]);

/** The arcs that a device with these flags has. */
function arcsOf(flags: number): [DeviceState, DeviceState][] {
  const arcs: [DeviceState, DeviceState][] = [
    ["resuming", "stop"],
    ["stop", "resuming"],
    ["stop", "stopCopy"],
    ["stopCopy", "stop"],
  ];
  const both = (a: DeviceState, b: DeviceState): void => void arcs.push([a, b], [b, a]);
  if (flags & P2P) {
    both("running", "runningP2p");
    both("runningP2p", "stop");
  } else {
    both("running", "stop");
  }
  if (flags & PRE_COPY) {
    both("running", "preCopy");
    if (flags & P2P) {
      both("preCopy", "preCopyP2p");
      both("runningP2p", "preCopyP2p");
      arcs.push(["preCopyP2p", "stopCopy"]);
    } else {
      arcs.push(["preCopy", "stopCopy"]);
    }
  }
  return arcs;
}

/** Every shortest way, breadth first. */
function search(from: DeviceState, goal: DeviceState, flags: number): DeviceState[][] {
  const arcs = arcsOf(flags);
  const within = SAVING.has(from) && SAVING.has(goal);
  for (let paths: DeviceState[][] = [[]], length = 0; length <= STATES.length; length++) {
    const found = paths.filter((path) => (path.at(-1) ?? from) === goal);
    if (found.length > 0) return found;
    paths = paths.flatMap((path) => {
      const at = path.at(-1) ?? from;
      if (path.length > 0 && SAVING.has(at) && !within) return [];
      return arcs.filter(([a]) => a === at).map(([, b]) => [...path, b]);
    });
  }
  return [];
}

describe.each([
  ["STOP_COPY", STOP_COPY],
  ["STOP_COPY | PRE_COPY", STOP_COPY | PRE_COPY],
  ["STOP_COPY | P2P", STOP_COPY | P2P],
  ["all", STOP_COPY | P2P | PRE_COPY],
])("a device with %s", (_name, flags) => {
  const pairs = STATES.flatMap((from) => STATES.map((goal): [DeviceState, DeviceState] => [from, goal]));

  test.each(pairs.filter(([from]) => from === "error" || hasState(flags, from)))("%s to %s", (from, goal) => {
    const path = shortestPath(from, goal, flags);
    const forbidden = from === "stopCopy" && (goal === "preCopy" || goal === "preCopyP2p");
    if (goal === "error" || from === "error" || forbidden || !hasState(flags, goal)) {
      expect(path).toBeNull();
    } else {
      expect(search(from, goal, flags)).toContainEqual(path);
    }
  });
});

test("ways that VFIO's text names", () => {
  expect(shortestPath("running", "stopCopy", STOP_COPY)).toEqual(["stop", "stopCopy"]);
  expect(shortestPath("resuming", "running", STOP_COPY)).toEqual(["stop", "running"]);
  expect(shortestPath("preCopy", "stopCopy", STOP_COPY | PRE_COPY)).toEqual(["stopCopy"]);
  expect(shortestPath("preCopy", "stopCopy", 7)).toEqual(["preCopyP2p", "stopCopy"]);
  expect(shortestPath("preCopyP2p", "stop", 7)).toEqual(["runningP2p", "stop"]);
  expect(shortestPath("stopCopy", "running", 7)).toEqual(["stop", "runningP2p", "running"]);
});
