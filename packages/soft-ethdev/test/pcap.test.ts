// net_pcap with real files: what is received from one, what is written to one, and files that are refused.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { readPcap, writePcap } from "@emudev/net";
import { Mempool } from "@emudev/shm";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Bench, frame, Hand, holdings, keys, makeBench, startPort, tasks, until, WORKER } from "./support.ts";

const folder = `/tmp/soft-ethdev/${process.pid}`;
const [IN, OUT] = [`${folder}/in.pcap`, `${folder}/out.pcap`];
let bench: Bench;
let before: ReturnType<typeof holdings>;
beforeAll(async () => {
  mkdirSync(folder, { recursive: true });
  bench = await makeBench();
});
beforeEach(() => {
  before = holdings(bench);
});
afterEach(async () => {
  for (const { name } of [...bench.env.vdev.devices()].reverse()) await bench.env.vdev.detach(name);
  expect(holdings(bench)).toEqual(before);
});
afterAll(async () => {
  await bench.env.cleanup();
  rmSync(folder, { recursive: true, force: true });
});

const save = (path: string, packets: readonly Uint8Array[]): void =>
  writeFileSync(path, writePcap(packets.map((data, i) => ({ seconds: i, nanoseconds: 0, data }))));
const saved = (path: string): Uint8Array[] => readPcap(readFileSync(path)).packets.map(({ data }) => data);

describe("a file that is received", () => {
  it("is received once, whatever the sizes of packets and bursts", async () => {
    const packets = Array.from({ length: 70 }, (_, i) => frame([60, 1514, 9000, 2048, 2049, 1][i % 6]!, i));
    save(IN, packets);
    const dev = await startPort(bench, `net_pcap0,rx_pcap=${IN}`);
    const hand = await Hand.on(bench, dev);
    const got = [hand.receive(32), hand.receive(32), hand.receive(32)];
    expect(got.map(({ length }) => length)).toEqual([32, 32, 6]);
    expect(keys(got.flat())).toEqual(keys(packets));
    expect(hand.receive()).toEqual([]);
    expect(dev.statsGet()).toMatchObject({
      ipackets: 70,
      ibytes: packets.reduce((sum, { length }) => sum + length, 0),
    });
    expect(hand.send([frame(60)])).toBe(1); // no tx_pcap: swallowed
  });

  it("is received for ever with infinite_rx=1, and from the start again when the queue is set up anew", async () => {
    save(IN, [frame(60, 1), frame(61, 2), frame(62, 3)]);
    const hand = await Hand.on(bench, await startPort(bench, `net_pcap0,rx_pcap=${IN},infinite_rx=1`));
    const sizes = [hand.receive(4), hand.receive(7)].flat().map(({ length }) => length);
    expect(sizes).toEqual([60, 61, 62, 60, 61, 62, 60, 61, 62, 60, 61]);
    const once = await startPort(bench, `net_pcap1,rx_pcap=${IN}`);
    const first = await Hand.on(bench, once);
    expect(first.receive(2)).toHaveLength(2);
    await once.stop();
    await once.start();
    expect(keys(first.receive())).toEqual(keys([frame(62, 3)]));
    await once.stop();
    await once.rxQueueSetup(0, 0, bench.pool);
    await once.start();
    expect(first.receive()).toHaveLength(3);
  });

  it("with no packets in it is nothing to receive, even for ever", async () => {
    save(IN, []);
    const hand = await Hand.on(bench, await startPort(bench, `net_pcap0,rx_pcap=${IN},infinite_rx=1`));
    expect(hand.receive()).toEqual([]);
  });

  it("waits for mbufs: none of its packets is lost", async () => {
    const packets = Array.from({ length: 20 }, (_, i) => frame(4000, i));
    save(IN, packets);
    const few = Mempool.createPktmbuf(bench.env.arena, "few", { n: 7, cacheSize: 0 });
    const dev = await startPort(bench, `net_pcap0,rx_pcap=${IN}`, 1, few);
    const hand = await Hand.on(bench, dev);
    const got: Uint8Array[] = [];
    for (let i = 0; i < 30 && got.length < 20; i++) got.push(...hand.receive());
    expect(keys(got)).toEqual(keys(packets));
    expect(dev.statsGet().rx_nombuf).toBeGreaterThan(0);
    await bench.env.vdev.detach("net_pcap0");
    few.free();
  });

  /** Writes a sound file, changed by `edit`. */
  const spoil = (edit: (file: Buffer) => Buffer): void => {
    save(IN, [frame(100)]);
    writeFileSync(IN, edit(readFileSync(IN)));
  };

  it.each<[string, () => void, RegExp]>([
    ["is not there", () => {}, /rx_pcap=.*ENOENT/],
    ["is something else", () => spoil((file) => file.fill("x")), /no pcap file/],
    ["is torn", () => spoil((file) => file.subarray(0, 60)), /torn/],
    ["has packets without bytes", () => save(IN, [frame(60), new Uint8Array(0)]), /packet 1 has no bytes/],
    ["is not of Ethernet", () => spoil((file) => file.fill(113, 20, 21)), /link type is 113/],
    ["is a folder", () => mkdirSync(IN), /not a regular file/],
    ["is a FIFO, which nobody writes", () => spawnSync("mkfifo", [IN]), /not a regular file/],
  ])("that %s is refused in words", async (_, prepare, message) => {
    rmSync(IN, { recursive: true, force: true });
    prepare();
    await expect(bench.env.vdev.attach(`net_pcap0,rx_pcap=${IN}`)).rejects.toThrow(message);
    rmSync(IN, { recursive: true, force: true });
  });
});

describe("a file that is written", () => {
  it("holds what was sent, with the time, in order", async () => {
    writeFileSync(OUT, "old");
    const dev = await startPort(bench, `net_pcap0,tx_pcap=${OUT}`);
    const hand = await Hand.on(bench, dev);
    const packets = Array.from({ length: 90 }, (_, i) => frame([60, 1514, 9000][i % 3]!, i));
    const start = Math.floor(Date.now() / 1000);
    for (let i = 0; i < 90; i += 30) expect(hand.send(packets.slice(i, i + 30))).toBe(30);
    expect(keys(saved(OUT))).toEqual(keys(packets));
    for (const { seconds, nanoseconds } of readPcap(readFileSync(OUT)).packets) {
      expect(seconds).toBeGreaterThanOrEqual(start - 1);
      expect(seconds).toBeLessThanOrEqual(Date.now() / 1000 + 1);
      expect(nanoseconds).toBeLessThan(1e9);
    }
    expect(dev.statsGet()).toMatchObject({ opackets: 90, oerrors: 0 });
    await dev.stop();
    await dev.start();
    hand.send([frame(70)]);
    expect(saved(OUT)).toHaveLength(91);
  });

  it("takes bursts larger than the buffer in parts", async () => {
    const hand = await Hand.on(bench, await startPort(bench, `net_pcap0,tx_pcap=${OUT}`));
    const packets = Array.from({ length: 40 }, (_, i) => frame(9000, i));
    const first = hand.send(packets);
    expect(first).toBeLessThan(40);
    expect(hand.send(packets.slice(first))).toBe(40 - first);
    expect(keys(saved(OUT))).toEqual(keys(packets));
  });

  it("that cannot be made is refused", async () => {
    await expect(bench.env.vdev.attach(`net_pcap0,tx_pcap=${folder}/none/x`)).rejects.toThrow(/tx_pcap=.*ENOENT/);
    save(IN, [frame(60)]);
    const both = `net_pcap0,rx_pcap=${IN},tx_pcap=${folder}/none/x`;
    await expect(bench.env.vdev.attach(both)).rejects.toThrow(/ENOENT/);
    await expect(bench.env.vdev.attach("net_pcap0")).rejects.toThrow(/rx_pcap= or tx_pcap= is needed/);
  });

  it("that fails: the loss is counted and the sender goes on", async () => {
    const dev = await startPort(bench, "net_pcap0,tx_pcap=/dev/null");
    expect((await Hand.on(bench, dev)).send([frame(60)])).toBe(1);
    await expect(bench.env.vdev.attach("net_pcap1,tx_pcap=/dev/full")).rejects.toThrow(/ENOSPC/);
  });

  it("on a full disk keeps its whole records, and goes on after a restart", async () => {
    const disk = `${folder}/disk`;
    mkdirSync(disk, { recursive: true });
    const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=16k", "emudev-test", disk]);
    if (mounted.status !== 0) {
      console.log(`pcap.test.ts: full disk not tested, no tmpfs can be mounted: ${mounted.stderr ?? mounted.error}`);
      return;
    }
    try {
      const path = `${disk}/out.pcap`;
      const dev = await startPort(bench, `net_pcap0,tx_pcap=${path}`);
      const hand = await Hand.on(bench, dev);
      const packets = Array.from({ length: 40 }, (_, i) => frame(1000, i));
      for (let i = 0; i < 40; i += 4) expect(hand.send(packets.slice(i, i + 4))).toBe(4);
      expect(() => readPcap(readFileSync(path))).toThrow(/torn/);
      const { opackets, oerrors } = dev.statsGet();
      expect(opackets).toBeGreaterThan(0);
      expect(opackets + oerrors).toBe(40);
      await dev.stop();
      expect(keys(saved(path))).toEqual(keys(packets.slice(0, opackets)));
      expect(bench.lines.at(-1)).toMatch(/writing to .* failed/);
      spawnSync("mount", ["-o", "remount,size=1m", disk]);
      await dev.start();
      hand.send([frame(500, 9)]);
      expect(keys(saved(path))).toEqual(keys([...packets.slice(0, opackets), frame(500, 9)]));
      await bench.env.vdev.detach("net_pcap0");
    } finally {
      spawnSync("umount", [disk]);
    }
  });
});

it("a real lcore copies one file into another", async () => {
  const packets = Array.from({ length: 3000 }, (_, i) => frame(60 + (i % 1455), i));
  save(IN, packets);
  const dev = await startPort(bench, `net_pcap0,rx_pcap=${IN},tx_pcap=${OUT}`);
  const pairs = [[dev.dataPort(), dev.dataPort()]];
  const done = bench.env.lcores.launch(WORKER, { module: tasks, fn: "forward", arg: { pairs } });
  await until(() => dev.statsGet().opackets === 3000);
  bench.env.lcores.stop(WORKER);
  expect(await done).toBe(0);
  expect(keys(saved(OUT))).toEqual(keys(packets));
  expect(statSync(OUT).size).toBe(statSync(IN).size);
});
