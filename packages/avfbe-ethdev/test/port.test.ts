// The port through its public doors: the vdev bus, ethdev's calls, a polling lcore, and a fake guest whose memory is mapped.
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { LCORE_NAPPING, LCORE_WAIT_FD, lcoreUsage, setPollMode } from "@emudev/eal";
import { ETH_STATS, emuGetAttr } from "@emudev/emudev";
import { type EthDev, ethDevs } from "@emudev/ethdev";
import { eventfd, eventfdRead, fdCount, watcherCount } from "@emudev/linux";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { makeFrame } from "./model/frames.ts";
import { PortRig, until } from "./support/port-rig.ts";
import { type GuestHost, type Received, RxRing, TxRing } from "./support/rings.ts";
import { FakeGuest } from "./support/world.ts";

let rig: PortRig;
let guest: FakeGuest;
let host: GuestHost;
let port: EthDev;

beforeAll(async () => {
  rig = await PortRig.make();
  ({ guest, port } = await rig.attach(0));
  host = { guest, enable: (queue) => guest.enable(queue) };
  await guest.map();
});
afterAll(async () => {
  await rig.env.vdev.detach("net_avfbe0");
  expect(guest.dev.subscriptions).toEqual([]);
  expect(guest.statsOff).toBeNull();
  await guest.close();
  await rig.env.cleanup();
});
beforeEach(() => guest.reset());

const withLcore = (queues: number, body: () => Promise<void>) => rig.echo(port, queues, body);

const from = (seed: number, length = 60): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => [2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1][i] ?? (seed + i) & 255);

test("link: down until port and guest are both ready, told to both sides", async () => {
  const changes: boolean[] = [];
  const off = port.on("lsc", (dev) => changes.push(dev.linkGet().up));
  expect(port.linkGet().up).toBe(false);
  await withLcore(1, async () => {
    expect(emuGetAttr(guest.dev.id, "link_up")).toBe(true);
    expect(port.linkGet().up).toBe(false);
    await TxRing.make(host);
    expect(port.linkGet().up).toBe(false);
    await RxRing.make(host);
    expect(port.linkGet()).toMatchObject({ up: true, speedMbps: 10_000, fullDuplex: true });
    await guest.set("link_speed", 25_000);
    expect(port.linkGet().speedMbps).toBe(25_000);
    await guest.disable(0);
    expect(port.linkGet().up).toBe(false);
  });
  expect(emuGetAttr(guest.dev.id, "link_up")).toBe(false);
  expect(changes).toEqual([true, true, false]);
  off();
});

test("packets go round through a polling lcore, with interrupts, statistics and nothing lost", async () => {
  port.statsReset();
  const before = rig.pool.availCount();
  const fd = eventfd();
  await guest.vectors[1]!.setFd(fd);
  const counts = await withLcore(1, async () => {
    const rx = await RxRing.make(host, { size: 256 });
    const tx = await TxRing.make(host, 256);
    guest.vectors[1]!.setArmed(true);
    const got: Uint8Array[] = [];
    for (let round = 0; round < 20; round++) {
      for (let i = 0; i < 50; i++) tx.send(from(round + i, 60 + i));
      tx.kick();
      await until(() => {
        got.push(...rx.take().map(({ bytes }) => bytes));
        return got.length === 50 * (round + 1);
      });
      await until(() => eventfdRead(fd) > 0); // it comes behind the packets
      guest.vectors[1]!.setArmed(true);
    }
    expect([...got[999]!.subarray(0, 12)]).toEqual([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9]);
    await sleep(300); // the guest's counters are written a few times a second
    const stat = (at: number): number => rig.env.arena.counter(guest.statsOff! + at);
    expect([stat(ETH_STATS.rxUnicast), stat(ETH_STATS.txUnicast), stat(ETH_STATS.txErrors)]).toEqual([1000, 1000, 0]);
    expect(stat(ETH_STATS.txBytes)).toBe(20 * 50 * 84.5);
  });
  expect(counts).toEqual({ received: 1000, sent: 1000 });
  expect(port.statsGet()).toMatchObject({ ipackets: 1000, opackets: 1000, ibytes: 84_500, obytes: 84_500, ierrors: 0 });
  expect(rig.pool.availCount()).toBe(before);
  await guest.vectors[1]!.setFd(-1);
});

test("one port queue feeds all queues of a guest with RSS, and raises the interrupt of each", async () => {
  const lut = Uint8Array.from({ length: 64 }, (_, i) => i % 2);
  const flow = (i: number): Uint8Array => {
    const { bytes } = makeFrame({ ipv6: false, protocol: "udp", payload: 20, seed: i });
    bytes.set(from(0).subarray(0, 12)); // sent back to the guest itself
    return bytes;
  };
  const fds = [eventfd(), eventfd()];
  await guest.vectors[1]!.setFd(fds[0]!);
  await guest.vectors[2]!.setFd(fds[1]!);
  await withLcore(1, async () => {
    const rings = [await RxRing.make(host), await RxRing.make(host, { pair: 1 })];
    const tx = await TxRing.make(host);
    await guest.set(
      "rss_key",
      Uint8Array.from({ length: 52 }, (_, i) => (i * 37 + 11) & 255),
    );
    await guest.set("rss_lut", lut);
    await guest.set("rss_hena", 1n << 31n);
    const got: Received[][] = [[], []];
    for (const vector of [1, 2]) guest.vectors[vector]!.setArmed(true);
    for (let i = 0; i < 20; i++) tx.send(flow(i));
    tx.kick();
    await until(() => {
      for (const [i, ring] of rings.entries()) got[i]!.push(...ring.take());
      return got.flat().length === 20;
    });
    for (const [i, packets] of got.entries())
      expect(packets.map(({ hash }) => lut[hash! & 63])).toEqual(packets.map(() => i));
    expect(got.every((packets) => packets.length > 0)).toBe(true);
    const fired = fds.map(() => 0);
    await until(() => {
      fds.forEach((fd, i) => {
        fired[i]! += eventfdRead(fd);
      });
      return fired.every((count) => count > 0);
    });
    // The lookup table changes while packets flow: all to queue 1.
    await guest.set("rss_lut", new Uint8Array(64).fill(1));
    for (let i = 0; i < 20; i++) tx.send(flow(i));
    tx.kick();
    await until(() => {
      got[1]!.push(...rings[1]!.take());
      return got.flat().length === 40;
    });
    expect(rings[0]!.take()).toEqual([]);
    await guest.set("rss_hena", 0n);
  });
  for (const vector of [1, 2]) await guest.vectors[vector]!.setFd(-1);
});

test("filters follow the device's attributes while packets flow", async () => {
  await withLcore(1, async () => {
    const rx = await RxRing.make(host);
    const tx = await TxRing.make(host);
    const other = from(1);
    other[11] = 5; // comes back to 02:00:00:00:00:05
    const round = async (frames: Uint8Array[], expected: number): Promise<void> => {
      for (const frame of [...frames, from(7)]) tx.send(frame);
      tx.kick();
      let arrived = 0;
      await until(() => {
        arrived += rx.take().length;
        return arrived >= expected + 1;
      });
      expect(arrived).toBe(expected + 1);
    };
    await round([other], 0);
    await guest.set("mac_filters", [Uint8Array.from([2, 0, 0, 0, 0, 5])]);
    await round([other], 1);
    await guest.set("mac_filters", []);
    await guest.set("promisc_unicast", true);
    await round([other], 1);
    await guest.set("promisc_unicast", false);
    await round([other], 0);
  });
});

test("two port queues serve three guest queues; a reset takes them all, and the guest may come again", async () => {
  await withLcore(2, async () => {
    for (let life = 0; life < 3; life++) {
      const rings: [RxRing, TxRing][] = [];
      for (let pair = 0; pair < 3; pair++)
        rings.push([await RxRing.make(host, { pair, size: 64, bufSize: 512 }), await TxRing.make(host, 64, pair)]);
      for (const [, tx] of rings) {
        for (let i = 0; i < 20; i++) tx.send(from(i));
        tx.kick();
      }
      const arrived = [0, 0, 0];
      await until(() => {
        rings.forEach(([rx], pair) => {
          arrived[pair]! += rx.take().length;
        });
        return arrived.reduce((a, b) => a + b, 0) === 60;
      });
      expect(arrived).toEqual([40, 20, 0]); // guest queues 0 and 2 are port queue 0, which answers on its own
      await guest.reset();
      expect(port.linkGet().up).toBe(false);
    }
  });
});

test("memory that comes and goes under a polling lcore harms nobody, and packets flow again when it is back", async () => {
  await withLcore(1, async () => {
    const rx = await RxRing.make(host, { size: 256 });
    const tx = await TxRing.make(host, 256);
    let sent = 0;
    let arrived = 0;
    for (let round = 0; round < 30; round++) {
      for (let i = 0; i < 20; i++, sent++) tx.send(from(i, 1000));
      tx.kick();
      await guest.table.unmapAll(); // resolves only when the lcore has let go
      expect(rig.env.arena.windows()).toEqual([]);
      await guest.map();
      await until(() => {
        arrived += rx.take().length;
        return arrived === sent;
      });
    }
  });
});

test("malformed packets are the port's input errors and have names of their own", async () => {
  port.statsReset();
  port.xstatsReset();
  await withLcore(1, async () => {
    await RxRing.make(host);
    const tx = await TxRing.make(host);
    tx.put(0n, (64n << 34n) | (3n << 4n));
    tx.put(0n, 7n);
    tx.kick();
    await until(() => port.statsGet().ierrors === 2);
  });
  const xstats = Object.fromEntries(port.xstatsGet().map(({ name, value }) => [name, value]));
  expect([xstats.rx_bad_address, xstats.rx_bad_descriptor_type, xstats.rx_bad_tso]).toEqual([1, 1, 0]);
});

test("a configuration that cannot work is named and left alone", async () => {
  await withLcore(1, async () => {
    guest.configure(0, guest.alloc(4096), 4);
    await guest.enable(0);
    guest.configure(0, guest.alloc(4096), 64, { bufSize: 0 });
    await guest.enable(0);
    expect(port.linkGet().up).toBe(false);
  });
  expect(rig.lines.join("")).toContain("AVFBE: net_avfbe0: guest rx queue 0 is not usable: a ring of 4 descriptors");
  expect(rig.lines.join("")).toContain("buffers of 0 bytes");
});

test("devargs: what is missing, wrong or taken is said", async () => {
  const attach = (text: string): Promise<unknown> => rig.env.vdev.attach(text);
  await expect(attach("net_avfbe1,id=1")).rejects.toThrow(/'avf_emu_id=' is missing/);
  await expect(attach("net_avfbe1,avf_emu_id=7")).rejects.toThrow(/names no emulated device; add --vdev=emu_iavf7/);
  await expect(attach(`net_avfbe1,avf_emu_id=${guest.dev.id}`)).rejects.toThrow(/served by net_avfbe0 already/);
  await expect(attach("net_avfbe1,avf_emu_id=0,queues=2")).rejects.toThrow(
    /unknown key 'queues'; allowed are id, avf_emu_id, rss, mac/,
  );
  await expect(attach("net_avfbe1,avf_emu_id=0,mac=01:00:00:00:00:00")).rejects.toThrow(/mac=/);
  expect(ethDevs()).toHaveLength(1);
});

test("a trapped doorbell ends the nap of the lcore, and its eventfd is let go of with the queue", async () => {
  const { guest: trapped, port: second } = await rig.attach(1, { trapped: true });
  await trapped.map();
  const { arena, lcores } = rig.env;
  const lcore = lcores.workers[0]!;
  const waitFd = arena.i32[(lcore.off + LCORE_WAIT_FD) >>> 2]!;
  const events = (): number => readFileSync(`/proc/self/fdinfo/${waitFd}`, "utf8").split("tfd:").length - 1;
  const napping = (): boolean => Atomics.load(arena.i32, (lcore.off + LCORE_NAPPING) >>> 2) !== 0;
  const [before, watchers] = [events(), watcherCount()];
  setPollMode(arena, lcores.workers, "interrupt");
  const trappedHost = { guest: trapped, enable: (queue: number) => trapped.enable(queue) };
  await rig.echo(second, 1, async () => {
    const rx = await RxRing.make(trappedHost);
    const tx = await TxRing.make(trappedHost);
    expect([events(), watcherCount()]).toEqual([before + 2, watchers]); // this thread is not woken
    const { napUs } = lcoreUsage(arena, lcore);
    for (let i = 0; i < 20; i++) {
      await until(napping);
      tx.send(from(i));
      tx.kick();
      await until(() => rx.take().length === 1);
    }
    expect(lcoreUsage(arena, lcore).napUs - napUs).toBeLessThan(20 * 250_000);
    await trapped.disable(1);
    expect(events()).toBe(before + 1);
    await trapped.reset();
    expect(events()).toBe(before);
  });
  setPollMode(arena, lcores.workers, "adaptive");
  await rig.env.vdev.detach("net_avfbe1");
  await trapped.close();
});

test("attached and detached again and again, a port leaves nothing behind", async () => {
  const second = new FakeGuest(rig.env.arena, rig.env.qsbr);
  const count = (): number[] => [rig.env.arena.memzones().length, fdCount(), second.dev.subscriptions.length];
  const before = count();
  for (let i = 0; i < 3; i++) {
    await rig.env.vdev.attach(`net_avfbe1,avf_emu_id=${second.dev.id}`);
    expect(ethDevs()).toHaveLength(2);
    await rig.env.vdev.detach("net_avfbe1");
    expect(count()).toEqual(before);
  }
  await second.close();
});
