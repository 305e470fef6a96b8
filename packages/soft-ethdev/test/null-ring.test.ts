// net_null and net_ring through the public port API: what is received, counted, refused and given back.

import { ethDevs } from "@emudev/ethdev";
import { MBUF_PORT, Mempool } from "@emudev/shm";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Bench, frame, Hand, holdings, keys, makeBench, startPort, tasks, until, WORKER } from "./support.ts";

let bench: Bench;
let before: ReturnType<typeof holdings>;
beforeAll(async () => {
  bench = await makeBench();
});
beforeEach(() => {
  before = holdings(bench);
});
afterEach(async () => {
  for (const { name } of [...bench.env.vdev.devices()].reverse()) await bench.env.vdev.detach(name);
  expect(ethDevs()).toEqual([]);
  expect(holdings(bench)).toEqual(before);
});
afterAll(() => bench.env.cleanup());

describe("net_null", () => {
  it("receives packets of the size asked for, for ever, and swallows what is sent", async () => {
    const dev = await startPort(bench, "net_null0,size=100");
    const hand = await Hand.on(bench, dev);
    for (let round = 0; round < 50; round++) {
      const packets = hand.receive(32, (mbuf) =>
        expect(bench.env.arena.u16[(mbuf + MBUF_PORT) >>> 1]).toBe(dev.portId),
      );
      expect(packets.map(({ length }) => length)).toEqual(Array(32).fill(100));
    }
    expect(hand.send([frame(60), frame(1500), frame(9000)])).toBe(3);
    expect(dev.statsGet()).toMatchObject({ ipackets: 1600, ibytes: 160_000, opackets: 3, obytes: 10_560, oerrors: 0 });
  });

  it("counts a pool that is empty, and goes on when it is not", async () => {
    const small = Mempool.createPktmbuf(bench.env.arena, "small", { n: 31, cacheSize: 0 });
    const dev = await startPort(bench, "net_null0", 1, small);
    const hand = await Hand.on(bench, dev);
    expect(hand.receive(32)).toEqual([]);
    expect(dev.statsGet()).toMatchObject({ ipackets: 0, rx_nombuf: 32 });
    expect(hand.receive(31)).toHaveLength(31);
    await bench.env.vdev.detach("net_null0");
    small.free();
  });

  it("with no-rx=1 receives nothing, with copy=1 really copies", async () => {
    const silent = await Hand.on(bench, await startPort(bench, "net_null0,no-rx=1"));
    expect(silent.receive()).toEqual([]);
    expect(silent.send([frame(64)])).toBe(1);
    const copying = await Hand.on(bench, await startPort(bench, "net_null1,copy=1,size=64"));
    expect(copying.receive(1)).toEqual([new Uint8Array(64)]);
    expect(copying.send([frame(9000)])).toBe(1);
  });

  it("refuses packets that do not fit the queue's mbufs, and sizes that are none", async () => {
    const tight = Mempool.createPktmbuf(bench.env.arena, "tight", { n: 31, dataRoomSize: 256 });
    await expect(startPort(bench, "net_null0,size=129", 1, tight)).rejects.toThrow(/size=129.*room for 128 bytes/);
    await bench.env.vdev.detach("net_null0");
    await expect(startPort(bench, "net_null0,size=13")).rejects.toThrow(/size/);
    await expect(startPort(bench, "net_null0,sise=64")).rejects.toThrow(/sise/);
    tight.free();
  });

  it("moves nothing before start and after stop", async () => {
    const dev = await startPort(bench, "net_null0");
    const hand = await Hand.on(bench, dev);
    expect(dev.linkGet()).toMatchObject({ up: true, speedMbps: 10_000 });
    await dev.stop();
    expect(dev.linkGet()).toMatchObject({ up: false, speedMbps: 0 });
    expect(hand.receive()).toEqual([]);
    expect(hand.send([frame(60)])).toBe(0);
    await dev.start();
    expect(hand.receive(4)).toHaveLength(4);
  });

  it("feeds a real lcore until that is stopped", async () => {
    const [source, sink] = [await startPort(bench, "net_null0"), await startPort(bench, "net_null1,no-rx=1")];
    const pairs = [[source.dataPort(), sink.dataPort()]];
    const done = bench.env.lcores.launch(WORKER, { module: tasks, fn: "forward", arg: { pairs } });
    await until(() => sink.statsGet().opackets > 10_000);
    bench.env.lcores.stop(WORKER);
    expect(await done).toBe(0);
    expect(sink.statsGet().opackets).toBe(source.statsGet().ipackets);
    expect(sink.statsGet().obytes).toBe(64 * sink.statsGet().opackets);
    // What the lcore keeps in its cache of the mempool is counted as free.
    expect(bench.pool.inUseCount()).toBe(0);
  });
});

describe("net_ring", () => {
  it("alone, receives what it sent, in order and unharmed, segments and all", async () => {
    const dev = await startPort(bench, "net_ring0");
    const hand = await Hand.on(bench, dev);
    const packets = [frame(60, 1), frame(1514, 2), frame(5000, 3), frame(14, 4)];
    expect(hand.send(packets)).toBe(4);
    expect(keys(hand.receive())).toEqual(keys(packets));
    expect(hand.receive()).toEqual([]);
    expect(dev.statsGet()).toMatchObject({ ipackets: 4, ibytes: 6588, opackets: 4, obytes: 6588, imissed: 0 });
  });

  it("takes what its ring has room for and leaves the rest to the sender", async () => {
    const hand = await Hand.on(bench, await startPort(bench, "net_ring0,size=64"));
    expect(hand.send(Array.from({ length: 100 }, (_, i) => frame(60, i)))).toBe(63);
    expect(hand.receive(128)).toEqual(Array.from({ length: 63 }, (_, i) => frame(60, i)));
  });

  it("crosses two ports that name the same rings, each queue with its like", async () => {
    const a = await startPort(bench, "net_ring0,rings=cable", 2);
    const b = await startPort(bench, "net_ring1,rings=cable", 2);
    const hands = await Promise.all([a, b].flatMap((dev) => [0, 1].map((queue) => Hand.on(bench, dev, queue))));
    const [a0, a1, b0, b1] = hands as [Hand, Hand, Hand, Hand];
    a0.send([frame(60, 1)]);
    a1.send([frame(60, 2)]);
    b0.send([frame(60, 3)]);
    b1.send([frame(60, 4)]);
    let port = -1;
    expect(a0.receive(32, (mbuf) => (port = bench.env.arena.u16[(mbuf + MBUF_PORT) >>> 1]!))).toEqual([frame(60, 3)]);
    expect(port).toBe(a.portId);
    expect([a1, b0, b1].map((hand) => hand.receive())).toEqual([[frame(60, 4)], [frame(60, 1)], [frame(60, 2)]]);
  });

  it("has two ends; a third port is refused, and an end that was left can be taken again", async () => {
    await startPort(bench, "net_ring0,rings=cable");
    const left = await Hand.on(bench, await startPort(bench, "net_ring1,rings=cable"));
    await expect(startPort(bench, "net_ring2,rings=cable")).rejects.toThrow(/both its ends taken/);
    left.send([frame(60, 5)]);
    await bench.env.vdev.detach("net_ring1");
    const again = await Hand.on(bench, await startPort(bench, "net_ring1,rings=cable"));
    expect(again.receive()).toEqual([]);
  });

  it("frees the packets that lie in it when it goes", async () => {
    const hand = await Hand.on(bench, await startPort(bench, "net_ring0"));
    hand.send([frame(60), frame(5000)]);
    expect(bench.pool.inUseCount()).toBeGreaterThan(2);
    await bench.env.vdev.detach("net_ring0");
    expect(bench.pool.inUseCount()).toBe(0);
  });

  it("is left as it was found when there is no memory for it", async () => {
    await expect(startPort(bench, "net_ring0,size=65536,rings=big")).resolves.toBeDefined();
    const zones = bench.env.arena.memzones().length;
    const made: string[] = [];
    const failed = await (async () => {
      for (let i = 1; i < 40; i++) {
        const name = `net_ring${i}`;
        try {
          await bench.env.vdev.attach(`${name},size=65536,rings=big${i}`);
          made.push(name);
        } catch (error) {
          return error as Error;
        }
      }
      throw new Error("memory did not run out");
    })();
    expect(failed.message).toMatch(/probe failed/);
    for (const name of made) await bench.env.vdev.detach(name);
    expect(bench.env.arena.memzones().length).toBe(zones);
  });

  it("carries packets between an lcore and this thread", async () => {
    const [a, b] = [await startPort(bench, "net_ring0,rings=cable"), await startPort(bench, "net_ring1,rings=cable")];
    const hand = await Hand.on(bench, a);
    const pairs = [[b.dataPort(), b.dataPort()]];
    const done = bench.env.lcores.launch(WORKER, { module: tasks, fn: "forward", arg: { pairs } });
    const sent: Uint8Array[] = [];
    const back: Uint8Array[] = [];
    for (let i = 0; i < 2000; i += 8) {
      const packets = Array.from({ length: 8 }, (_, j) => frame(60 + ((i + j) % 1000), i + j));
      expect(hand.send(packets)).toBe(8);
      sent.push(...packets);
      await until(() => back.push(...hand.receive()) >= sent.length - 64);
    }
    await until(() => back.push(...hand.receive()) >= sent.length);
    bench.env.lcores.stop(WORKER);
    expect(await done).toBe(0);
    expect(keys(back)).toEqual(keys(sent));
  });
});
