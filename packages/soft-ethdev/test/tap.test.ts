// net_tap with real interfaces: two of them in network namespaces of their own, their ports crossed by an lcore, so two
// TCP stacks of the kernel talk through bursts of ours. Needs root, /dev/net/tun and leave to make namespaces.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import type { EthDev } from "@emudev/ethdev";
import { ifMac, ifMtu, ifState, ifUp } from "@emudev/linux";
import { Mempool } from "@emudev/shm";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Bench, frame, Hand, holdings, makeBench, startPort, tasks, until, WORKER } from "./support.ts";

const id = process.pid % 100_000;
const [NS_A, NS_B] = [`emua${id}`, `emub${id}`];
const [TAP_A, TAP_B] = [`emta${id}`, `emtb${id}`];

const ip = (...args: string[]): void => {
  const { status, stderr } = spawnSync("ip", args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`ip ${args.join(" ")}: ${stderr}`);
};

function refusal(): string | null {
  if (process.getuid?.() !== 0) return "not root";
  if (!existsSync("/dev/net/tun")) return "no /dev/net/tun";
  const made = spawnSync("ip", ["netns", "add", NS_A], { encoding: "utf8" });
  if (made.status !== 0) return `no namespace can be made: ${made.stderr ?? made.error}`;
  spawnSync("ip", ["netns", "del", NS_A]);
  return null;
}
const reason = refusal();
if (reason !== null) console.log(`tap.test.ts: skipped: ${reason}`);

describe.skipIf(reason !== null)("net_tap", () => {
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
    expect(holdings(bench)).toEqual(before);
    for (const name of [TAP_A, TAP_B]) expect(existsSync(`/sys/class/net/${name}`)).toBe(false);
  });
  afterAll(() => bench.env.cleanup());

  it("makes the interface with the address asked for, sets its MTU, follows its state, and takes it away", async () => {
    const dev = await startPort(bench, `net_tap0,iface=${TAP_A},mac=02:11:22:33:44:55`);
    expect([...ifMac(TAP_A)]).toEqual([2, 0x11, 0x22, 0x33, 0x44, 0x55]);
    expect([...dev.macAddrGet()]).toEqual([...ifMac(TAP_A)]);
    expect(ifState(TAP_A).up).toBe(true);
    await dev.mtuSet(9000);
    expect(ifMtu(TAP_A)).toBe(9000);
    await dev.macAddrSet(Uint8Array.of(2, 0, 0, 0, 0, 9));
    expect([...ifMac(TAP_A)]).toEqual([2, 0, 0, 0, 0, 9]);
    expect(dev.linkGet().up).toBe(true);
    ip("link", "set", TAP_A, "down");
    expect(dev.linkGet().up).toBe(false);
    ifUp(TAP_A);
    await dev.stop();
    await dev.configure(1, 1, { mtu: 1400 });
    expect(ifMtu(TAP_A)).toBe(1400);
  });

  it("gives the kernel what is sent, of any number of segments, and counts what it refuses", async () => {
    const dev = await startPort(bench, `net_tap0,iface=${TAP_A}`);
    const hand = await Hand.on(bench, dev);
    await dev.mtuSet(9000);
    const received = (): number => Number(readFileSync(`/sys/class/net/${TAP_A}/statistics/rx_bytes`, "utf8"));
    const start = received();
    // An experimental type (IEEE 802), so that no protocol of the kernel answers.
    const packets = [60, 1514, 9014].map((length) => frame(length));
    for (const packet of packets) packet.set([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5]);
    expect(hand.send(packets)).toBe(3);
    expect(received() - start).toBe(60 + 1514 + 9014);
    expect(hand.send([frame(8), packets[0]!])).toBe(2); // shorter than a header
    ip("link", "set", TAP_A, "down");
    expect(hand.send([packets[0]!])).toBe(1);
    expect(dev.statsGet()).toMatchObject({ opackets: 4, oerrors: 2 });
  });

  it("receives what the kernel sends, in small mbufs too, and counts frames lost for want of mbufs", async () => {
    const small = Mempool.createPktmbuf(bench.env.arena, "small", { n: 15, cacheSize: 0, dataRoomSize: 256 });
    const dev = await startPort(bench, `net_tap0,iface=${TAP_A}`, 1, small);
    const hand = await Hand.on(bench, dev);
    ip("addr", "add", "10.77.0.1/24", "dev", TAP_A);
    ip("neigh", "add", "10.77.0.2", "lladdr", "02:00:00:00:00:02", "dev", TAP_A);
    const send = (bytes: number, count: number): void => {
      const code = `const s = require("dgram").createSocket("udp4"); let n = 0;
        const next = (error) => {
          if (error) throw error;
          if (n++ < ${count}) s.send(Buffer.alloc(${bytes}, n), 9, "10.77.0.2", next);
          else s.close();
        };
        next();`;
      expect(spawnSync(process.execPath, ["-e", code]).status).toBe(0);
    };
    const toUs = (packets: Uint8Array[]): Uint8Array[] => packets.filter((bytes) => bytes[0] === 2 && bytes[5] === 2);
    send(1000, 3);
    const got: Uint8Array[] = [];
    await until(() => got.push(...toUs(hand.receive(1))) === 3);
    expect(got.map(({ length }) => length)).toEqual([1042, 1042, 1042]); // Ethernet 14, IP 20, UDP 8
    expect(got.map((bytes) => bytes[500])).toEqual([1, 2, 3]);
    send(1400, 40);
    await until(() => hand.receive().length === 0 && dev.statsGet().rx_nombuf > 0);
    expect(small.inUseCount()).toBe(0);
    await bench.env.vdev.detach("net_tap0");
    small.free();
  });

  it("names what is wrong", async () => {
    await startPort(bench, `net_tap0,iface=${TAP_A}`);
    await expect(bench.env.vdev.attach(`net_tap1,iface=${TAP_A}`)).rejects.toThrow(/EBUSY/);
    await expect(bench.env.vdev.attach("net_tap1,iface=lo")).rejects.toThrow(/iface=lo.*EINVAL/);
    await expect(bench.env.vdev.attach("net_tap1,iface=sixteen-letters-")).rejects.toThrow(/at most 15 bytes/);
    await expect(bench.env.vdev.attach(`net_tap1,iface=${TAP_B},mac=03:00:00:00:00:01`)).rejects.toThrow(/mac/);
  });

  describe("between two namespaces", () => {
    const children: ChildProcess[] = [];
    let forwarding: Promise<unknown>;
    let a: EthDev;
    let b: EthDev;

    /** A script in a namespace; resolves to what it printed. */
    async function inside(ns: string, code: string): Promise<string> {
      const child = spawn("ip", ["netns", "exec", ns, process.execPath, "-e", code]);
      children.push(child);
      let text = "";
      child.stdout.on("data", (chunk) => (text += chunk));
      child.stderr.on("data", (chunk) => (text += chunk));
      await once(child, "close");
      return text;
    }

    beforeEach(async () => {
      a = await startPort(bench, `net_tap0,iface=${TAP_A}`);
      b = await startPort(bench, `net_tap1,iface=${TAP_B}`);
      for (const [ns, tap, address] of [
        [NS_A, TAP_A, "10.78.0.1/24"],
        [NS_B, TAP_B, "10.78.0.2/24"],
      ] as const) {
        ip("netns", "add", ns);
        ip("link", "set", tap, "netns", ns);
        ip("-n", ns, "addr", "add", address, "dev", tap);
        ip("-n", ns, "link", "set", tap, "up");
      }
      const pairs = [
        [a.dataPort(), b.dataPort()],
        [b.dataPort(), a.dataPort()],
      ];
      forwarding = bench.env.lcores.launch(WORKER, { module: tasks, fn: "forward", arg: { pairs } });
    });
    afterEach(async () => {
      for (const child of children.splice(0)) child.kill();
      bench.env.lcores.stop(WORKER);
      await forwarding;
      for (const name of ["net_tap1", "net_tap0"]) await bench.env.vdev.detach(name);
      for (const ns of [NS_A, NS_B]) ip("netns", "del", ns);
    });

    it("carries 4 MiB of TCP each way, unharmed", async () => {
      const hash = 'const { createHash } = require("crypto"); const hash = createHash("sha256");';
      const data = "Buffer.alloc(4 << 20, Uint8Array.from({ length: 65521 }, (_, i) => i * 7))";
      const take = 's.on("data", (d) => hash.update(d)); s.on("end", () => console.log(hash.digest("hex")));';
      const server = inside(
        NS_B,
        `${hash} require("net").createServer({ allowHalfOpen: true }, (s) => {
          ${take} s.end(${data}); s.on("close", () => process.exit(0)); }).listen(5001);`,
      );
      const client = inside(
        NS_A,
        `${hash} const net = require("net");
        (function dial() { const s = net.connect({ host: "10.78.0.2", port: 5001, allowHalfOpen: true });
          s.on("error", () => setTimeout(dial, 100)); s.on("connect", () => { ${take} s.end(${data}); }); })();`,
      );
      const [one, two] = await Promise.all([server, client]);
      expect(one).toMatch(/^[0-9a-f]{64}\n$/);
      expect(two).toBe(one);
      expect(a.statsGet().ibytes).toBeGreaterThan(4 << 20);
      expect(b.statsGet().ibytes).toBeGreaterThan(4 << 20);
      expect(a.statsGet().rx_nombuf + b.statsGet().rx_nombuf).toBe(0);
      expect(a.linkGet().up).toBe(true); // in another namespace it cannot be asked
    });
  });
});
