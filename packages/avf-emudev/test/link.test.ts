// The link as drivers take it: once when the first queue is enabled, then when it changes, and never twice the same.
import { decode, pfEventCodec, VF_CAP } from "@emudev/avf";
import { beforeEach, expect, test } from "vitest";
import { Link, linkEvent } from "../src/control/link.ts";

let state: { up: boolean; mbps: number; running: boolean };
let sent: string[];
let link: Link;

beforeEach(() => {
  state = { up: false, mbps: 10_000, running: false };
  sent = [];
  link = new Link({
    link: () => state,
    caps: () => VF_CAP.ADV_LINK_SPEED,
    running: () => state.running,
    sendEvent(event) {
      const { linkUp, linkSpeed } = decode(pfEventCodec, event)!;
      sent.push(linkUp ? `up ${linkSpeed}` : `down ${linkSpeed}`);
    },
  });
});

test("nothing is told before queues are enabled, then always", () => {
  link.update();
  expect(sent).toEqual([]);
  state.running = true;
  link.update();
  expect(sent).toEqual(["down 0"]);
});

test("equal states are not repeated, changes are told", () => {
  state.running = true;
  state.up = true;
  for (let i = 0; i < 3; i++) link.update();
  state.mbps = 25_000;
  link.update();
  state.up = false;
  link.update();
  state.mbps = 10_000;
  link.update();
  expect(sent).toEqual(["up 10000", "up 25000", "down 0"]);
});

test("with the resources a link that is up is told, and told again when queues are enabled", () => {
  link.introduce();
  state.up = true;
  link.introduce();
  state.running = true;
  link.update();
  expect(sent).toEqual(["up 10000", "up 10000"]);
});

test("after disabling or a reset the driver is told anew", () => {
  state.running = true;
  state.up = true;
  link.update();
  link.forget();
  link.update();
  expect(sent).toEqual(["up 10000", "up 10000"]);
});

test("without ADV_LINK_SPEED the speed is one bit", () => {
  expect(decode(pfEventCodec, linkEvent(0, true, 10_000))).toEqual({
    event: 1,
    linkSpeed: 8,
    linkUp: true,
    severity: 0,
  });
});
