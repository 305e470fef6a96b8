// Attributes and lent regions: names, types and writers are checked before a provider sees anything.
import { expect, test } from "vitest";
import {
  AttributeStore,
  attrIndex,
  attrName,
  EMU_DEV_ATTRS,
  emuDevAllocate,
  emuGetAttr,
  emuGetIrqInfo,
  emuGetQueueInfo,
  emuRegionMap,
  emuSetAttr,
} from "../src/index.ts";
import { fakeOps } from "./support.ts";

const calls: string[] = [];
const { id } = emuDevAllocate("attrs", fakeOps(calls));

test("a backend sets what the table lets it set, and reads it back", async () => {
  await emuSetAttr(id, "link_up", true);
  await emuSetAttr(id, "mac", new Uint8Array([2, 0, 0, 0, 0, 1]));
  await emuSetAttr(id, "link_speed", 25_000);
  expect([emuGetAttr(id, "link_up"), emuGetAttr(id, "link_speed")]).toEqual([true, 25_000]);
  expect([...emuGetAttr(id, "mac")]).toEqual([2, 0, 0, 0, 0, 1]);
});

test("wrong writer, wrong type and unknown names are refused by name", async () => {
  await expect(emuSetAttr(id, "mtu", 1500)).rejects.toMatchObject({ code: "EPERM" });
  await expect(emuSetAttr(id, "link_up", 1 as never)).rejects.toMatchObject({ code: "EINVAL" });
  await expect(emuSetAttr(id, "speed" as never, 1)).rejects.toThrow(/no attribute 'speed'; one of mac, mtu/);
  expect(() => emuGetAttr(id, "x" as never)).toThrow(expect.objectContaining({ code: "ENOENT" }));
  const store = new AttributeStore();
  expect(() => store.set("link_up", true)).toThrow(/set by the backend, not by the provider/);
  expect(() => store.set("vlan_filters", [4096])).toThrow(expect.objectContaining({ code: "EINVAL" }));
  expect(() => store.set("mac_filters", [new Uint8Array(5)])).toThrow(expect.objectContaining({ code: "EINVAL" }));
  expect(() => store.set("rss_hena", -1n)).toThrow(expect.objectContaining({ code: "EINVAL" }));
});

test("the number of an attribute, as events carry it, leads back to its name", () => {
  for (const { name } of EMU_DEV_ATTRS) expect(attrName(attrIndex(name))).toBe(name);
  expect(attrName(200)).toBeUndefined();
  expect(new AttributeStore().set("promisc_unicast", true)).toBe(attrIndex("promisc_unicast"));
});

test("a region is lent by name, size and aligned base, and taken back", () => {
  emuRegionMap(id, "eth_stats", 96, 4096);
  emuRegionMap(id, "eth_stats", 96, null);
  expect(calls.slice(-2)).toEqual(["region eth_stats 96 4096", "region eth_stats 96 null"]);
  expect(() => emuRegionMap(id, "stats", 96, 4096)).toThrow(expect.objectContaining({ code: "ENOENT" }));
  expect(() => emuRegionMap(id, "eth_stats", 64, 4096)).toThrow(expect.objectContaining({ code: "EINVAL" }));
  expect(() => emuRegionMap(id, "eth_stats", 96, 4100)).toThrow(expect.objectContaining({ code: "EINVAL" }));
});

test("queues and vectors the device does not have are refused, those not set up are null", () => {
  expect(emuGetQueueInfo(id, 3)).toBeNull();
  expect(() => emuGetQueueInfo(id, 4)).toThrow(expect.objectContaining({ code: "EINVAL" }));
  expect(emuGetIrqInfo(id, 2)).toBeNull();
  expect(() => emuGetIrqInfo(id, 3)).toThrow(expect.objectContaining({ code: "EINVAL" }));
});
