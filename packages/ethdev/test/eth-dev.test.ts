// Ports over a real environment: table and ids, limits, statistics over resets and new queues, settings, events, telemetry,
// and bursts on an lcore.

import { type Eal, ealInit } from "@emudev/eal";
import { getAffinity } from "@emudev/linux";
import { Mempool } from "@emudev/shm";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { openPort } from "../src/data/index.ts";
import {
  type EthDevError,
  ethDev,
  ethDevByName,
  ethDevRelease,
  ethDevs,
  onEthDev,
  QSTATS_BYTES,
  QSTATS_ERRORS,
  QSTATS_MISSED,
  QSTATS_NOMBUF,
  QSTATS_PACKETS,
} from "../src/index.ts";
import { type LoopPort, loopPort } from "./loop-driver.ts";

let env: Eal;
let pool: Mempool;
const [cpu] = getAffinity();

beforeAll(async () => {
  env = await ealInit(["--in-memory", "-m", "64", "--lcores", `0@${cpu},1@${cpu}`], { drivers: [] });
  pool = Mempool.createPktmbuf(env.arena, "pool", { n: 255, cacheSize: 32 });
});
afterEach(async () => {
  for (const dev of ethDevs()) await dev.close();
});
afterAll(() => env.cleanup());

/** A port with `n` queue pairs, set up and started. */
async function started(name: string, n = 1): Promise<LoopPort> {
  const port = loopPort(name);
  await port.dev.configure(n, n);
  for (let q = 0; q < n; q++) {
    await port.dev.rxQueueSetup(q, 0, pool);
    await port.dev.txQueueSetup(q, 0);
  }
  await port.dev.start();
  return port;
}

describe("port table", () => {
  it("gives the lowest free id, and names are unique", async () => {
    const seen: string[] = [];
    const off = onEthDev((dev, event) => seen.push(`${event} ${dev.portId}`));
    const [a, b] = [loopPort("a"), loopPort("b")];
    expect(ethDevs()).toEqual([a.dev, b.dev]);
    expect(() => loopPort("a")).toThrow(expect.objectContaining({ code: "EXISTS" }));
    await a.dev.close();
    expect(() => ethDev(0)).toThrow("there is no port 0; ports are 1");
    expect(loopPort("c").dev.portId).toBe(0);
    expect(ethDevByName("b")).toBe(b.dev);
    ethDevRelease(b.dev);
    ethDevRelease(b.dev);
    expect(ethDevByName("b")).toBeUndefined();
    expect(seen).toEqual(["new 0", "new 1", "destroy 0", "new 0", "destroy 1"]);
    off();
  });

  it("has room for 256", () => {
    for (let i = 0; i < 256; i++) loopPort(`p${i}`);
    expect(() => loopPort("p256")).toThrow(expect.objectContaining({ code: "LIMIT" }));
  });
});

describe("set-up", () => {
  it("goes through configure, queues, start, stop; descriptors 0 are the driver's default", async () => {
    const { dev, calls } = await started("a", 2);
    expect(calls).toEqual(["configure 2 2", "rx 0 256", "tx 0 512", "rx 1 256", "tx 1 512", "start"]);
    expect(dev.state).toBe("started");
    expect(dev.rxQueue(1)).toMatchObject({ nbDesc: 256, pool });
    await dev.start();
    await dev.stop();
    await dev.stop();
    await dev.txQueueSetup(0, 64);
    await dev.start();
    expect(calls.slice(6)).toEqual(["stop", "tx 0 64", "start"]);
    await dev.close();
    await dev.close();
    expect(calls.slice(9)).toEqual(["stop", "close"]);
    await expect(dev.start()).rejects.toMatchObject({ code: "NODEV" });
  });

  it("refuses what is outside the limits before the driver hears of it", async () => {
    const { dev, calls } = loopPort("a");
    const refused = async (op: Promise<void>, code: string, text: string | RegExp) => {
      await expect(op).rejects.toThrow(expect.objectContaining({ code }));
      await op.catch((error: EthDevError) => expect(error.message).toMatch(text));
    };
    await refused(dev.start(), "STATE", "configure it first");
    await refused(dev.configure(3, 1), "INVAL", "3 receive queues; the port has at most 2");
    await refused(dev.configure(0, 0), "INVAL", "no queue");
    await refused(dev.configure(1.5, 1), "INVAL", "1.5 receive queues");
    await refused(dev.configure(1, 1, { rxOffloads: ["RSS_HASH"] }), "INVAL", /RSS_HASH is not.*there are VLAN_STRIP/);
    await refused(dev.configure(1, 1, { mtu: 60 }), "INVAL", "MTU 60");
    await dev.configure(1, 1, { rxOffloads: ["VLAN_STRIP"], mtu: 2000 });
    expect(dev.mtuGet()).toBe(2000);
    await refused(dev.rxQueueSetup(1, 0, pool), "INVAL", "no such queue; 1 are configured");
    for (const n of [63, 32, 1056, 65, -64])
      await refused(dev.rxQueueSetup(0, n, pool), "INVAL", "from 64 to 1024, a multiple of 32, or 0 for 256");
    const small = Mempool.createPktmbuf(env.arena, "small", { n: 63, cacheSize: 0, dataRoomSize: 1024 });
    await refused(dev.rxQueueSetup(0, 0, small), "INVAL", "896 bytes are too small; 1024 are needed");
    small.free();
    await refused(dev.start(), "STATE", "not every queue");
    expect(() => dev.dataPort()).toThrow("not every queue");
    await dev.rxQueueSetup(0, 0, pool);
    await dev.txQueueSetup(0, 0);
    await dev.start();
    await refused(dev.configure(1, 1), "STATE", "stop it first");
    await refused(dev.rxQueueSetup(0, 0, pool), "STATE", "stop it first");
    expect(calls).toEqual(["configure 1 1", "rx 0 256", "tx 0 512", "start"]);
  });

  it("keeps its state when the driver fails, and refuses two operations at once", async () => {
    const port = await started("a");
    port.failNext = true;
    await expect(port.dev.stop()).rejects.toThrow("driver said no");
    expect(port.dev.state).toBe("started");
    const first = port.dev.stop();
    await expect(port.dev.close()).rejects.toMatchObject({ code: "BUSY" });
    await first;
  });

  it("resets to the state after probe, if the driver can", async () => {
    const { dev, calls } = await started("a");
    await dev.reset();
    expect(calls.slice(-2)).toEqual(["stop", "reset"]);
    expect([dev.state, dev.nbRxQueues, dev.portId]).toEqual(["unconfigured", 0, 0]);
    await expect(loopPort("b", ["reset"]).dev.reset()).rejects.toMatchObject({ code: "NOTSUP" });
  });
});

describe("statistics", () => {
  const add = (off: number, field: number, n: number) => {
    env.arena.u64[(off + field) >>> 3]! += BigInt(n);
  };

  it("sum the queues' counters, and a reset subtracts what was there", async () => {
    const port = await started("a", 2);
    const { dev } = port;
    const { rx, tx } = dev.dataPort();
    add(rx[0]!, QSTATS_PACKETS, 10);
    add(rx[1]!, QSTATS_PACKETS, 2 ** 40);
    add(rx[1]!, QSTATS_BYTES, 64);
    add(rx[0]!, QSTATS_ERRORS, 3);
    add(rx[0]!, QSTATS_MISSED, 4);
    add(rx[0]!, QSTATS_NOMBUF, 5);
    add(tx[1]!, QSTATS_PACKETS, 7);
    add(tx[1]!, QSTATS_ERRORS, 1);
    add(tx[1]!, QSTATS_MISSED, 2);
    port.extra = { imissed: 100 };
    expect(dev.statsGet()).toEqual({
      ipackets: 2 ** 40 + 10,
      opackets: 7,
      ibytes: 64,
      obytes: 0,
      imissed: 104,
      ierrors: 3,
      oerrors: 3,
      rx_nombuf: 5,
    });
    dev.statsReset();
    expect(Object.values(dev.statsGet())).toEqual(new Array(8).fill(0));
    add(rx[1]!, QSTATS_PACKETS, 1);
    port.extra = { imissed: 101 };
    expect(dev.statsGet()).toMatchObject({ ipackets: 1, imissed: 1 });
  });

  it("go on counting when queues are set up anew", async () => {
    const { dev } = await started("a");
    add(dev.dataPort().rx[0]!, QSTATS_PACKETS, 5);
    await dev.stop();
    await dev.rxQueueSetup(0, 64, pool);
    add(dev.dataPort().rx[0]!, QSTATS_PACKETS, 6);
    expect(dev.statsGet().ipackets).toBe(11);
    await dev.configure(2, 1);
    expect(dev.statsGet().ipackets).toBe(11);
    for (const q of [0, 1]) await dev.rxQueueSetup(q, 0, pool);
    await dev.txQueueSetup(0, 0);
    add(dev.dataPort().rx[1]!, QSTATS_PACKETS, 2);
    expect(dev.statsGet().ipackets).toBe(13);
    dev.statsReset();
    expect(dev.statsGet().ipackets).toBe(0);
  });

  it("have rte_ethdev's extended names in its order, then the queues', then the driver's", async () => {
    const port = await started("a");
    port.xstats = [["rx_guest_kicks", 9]];
    const names = port.dev.xstatsGet().map(({ name }) => name);
    expect(names).toEqual([
      "rx_good_packets",
      "tx_good_packets",
      "rx_good_bytes",
      "tx_good_bytes",
      "rx_missed_errors",
      "rx_errors",
      "tx_errors",
      "rx_mbuf_allocation_errors",
      "rx_q0_packets",
      "rx_q0_bytes",
      "rx_q0_errors",
      "rx_q0_missed",
      "tx_q0_packets",
      "tx_q0_bytes",
      "tx_q0_errors",
      "tx_q0_dropped",
      "rx_guest_kicks",
    ]);
    expect(port.dev.xstatsGet().at(-1)!.value).toBe(9);
    port.dev.xstatsReset();
    port.xstats = [["rx_guest_kicks", 11]];
    expect(port.dev.xstatsGet().at(-1)!.value).toBe(2);
  });
});

describe("settings and events", () => {
  it("reach the driver once, and are remembered", async () => {
    const { dev, calls } = loopPort("a");
    await dev.promiscuousEnable();
    await dev.promiscuousEnable();
    await dev.allmulticastEnable();
    await dev.allmulticastDisable();
    await dev.mtuSet(9000);
    await dev.vlanOffloadSet("strip", true);
    await dev.vlanFilterSet(5, true);
    await dev.linkSet(false);
    expect(calls).toEqual([
      "promiscuous true",
      "allmulticast true",
      "allmulticast false",
      "mtu 9000",
      "vlan strip true",
      "vlan 5 true",
      "link false",
    ]);
    expect([dev.promiscuousGet(), dev.allmulticastGet(), dev.mtuGet()]).toEqual([true, false, 9000]);
    expect(dev.vlanOffloadGet()).toEqual({ strip: true, filter: false });
    await expect(dev.mtuSet(9001)).rejects.toMatchObject({ code: "INVAL" });
    await expect(dev.vlanFilterSet(4096, true)).rejects.toMatchObject({ code: "INVAL" });
  });

  it("keep MAC addresses within the port's room", async () => {
    const { dev } = loopPort("a");
    const mac = (last: number) => Uint8Array.of(2, 0, 0, 0, 9, last);
    await dev.macAddrSet(mac(1));
    await dev.macAddrAdd(mac(2));
    await dev.macAddrAdd(mac(2));
    await dev.macAddrAdd(mac(3));
    await expect(dev.macAddrAdd(mac(4))).rejects.toMatchObject({ code: "LIMIT" });
    await expect(dev.macAddrRemove(mac(1))).rejects.toMatchObject({ code: "INVAL" });
    await dev.macAddrRemove(mac(2));
    expect(dev.macAddrs()).toEqual([mac(1), mac(3)]);
    for (const wrong of [[1, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0], [2]])
      await expect(dev.macAddrSet(Uint8Array.from(wrong))).rejects.toMatchObject({ code: "INVAL" });
  });

  it("say when the driver has no such operation", async () => {
    const { dev } = loopPort("a", ["promiscuousSet", "mtuSet", "macAddrSet", "linkSet", "vlanOffloadSet"]);
    await expect(dev.promiscuousEnable()).rejects.toThrow("net_loop does not support promiscuous mode");
    await expect(dev.mtuSet(1400)).rejects.toMatchObject({ code: "NOTSUP" });
    await expect(dev.macAddrSet(Uint8Array.of(2, 0, 0, 0, 0, 1))).rejects.toMatchObject({ code: "NOTSUP" });
    await expect(dev.linkSet(true)).rejects.toMatchObject({ code: "NOTSUP" });
    await expect(dev.vlanOffloadSet("strip", true)).rejects.toMatchObject({ code: "NOTSUP" });
  });

  it("tell listeners of a port's events", () => {
    const port = loopPort("a");
    const seen: boolean[] = [];
    const off = port.dev.on("lsc", (dev) => seen.push(dev.linkGet().up));
    port.dev.notify("lsc");
    port.up = false;
    port.dev.notify("lsc");
    off();
    port.dev.notify("lsc");
    expect(seen).toEqual([true, false]);
  });

  it("answer telemetry", async () => {
    await started("a");
    const { telemetry } = env;
    expect(telemetry.call("/ethdev/list")).toEqual({ "/ethdev/list": [0] });
    expect(telemetry.call("/ethdev/stats,0")).toMatchObject({ "/ethdev/stats": { ipackets: 0 } });
    expect(telemetry.call("/ethdev/stats,7")).toEqual({ "/ethdev/stats": null });
    expect(telemetry.call("/ethdev/stats,x")).toEqual({ "/ethdev/stats": null });
    expect(telemetry.call("/ethdev/link_status,0")).toMatchObject({ "/ethdev/link_status": { status: "UP" } });
    expect(telemetry.call("/ethdev/info,0")).toMatchObject({ "/ethdev/info": { state: "started", mtu: 1500 } });
  });
});

describe("data side", () => {
  it("opens a port's queues on an lcore by its driver's module", async () => {
    const { dev } = await started("a");
    const { off: word } = env.arena.memzoneReserve("word", 64);
    const module = new URL("./loop-data.mjs", import.meta.url).href;
    const done = env.lcores.launch(1, { module, arg: { port: dev.dataPort(), count: 1000, word } });
    while (Atomics.load(env.arena.i32, word >>> 2) < 500_500) await new Promise((resolve) => setTimeout(resolve, 1));
    env.lcores.stop(1);
    expect(await done).toBe(500_500);
    expect(dev.statsGet()).toMatchObject({ ipackets: 1000, opackets: 1000 });
  });

  it("refuses a module that is no driver's", async () => {
    const port = { portId: 0, module: import.meta.resolve("@emudev/shm/data"), rx: [], tx: [] };
    await expect(openPort({} as never, port)).rejects.toThrow("must export openRxQueue and openTxQueue");
  });
});
