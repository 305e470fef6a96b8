// testpmd on ports without hardware: what each forwarding mode does to packets of a file, sources and sinks without end, and
// two ports on one cable.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { readPcap, writePcap } from "@emudev/net";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { MAIN, Program, TWO_LCORES } from "./program.ts";

const folder = `/tmp/testpmd/soft-${process.pid}`;
const programs: Program[] = [];
const PROMPT = /testpmd> $/;
const EAL = ["--in-memory", "-m", "128", ...TWO_LCORES];

const hex = (text: string) => Uint8Array.from(Buffer.from(text.replace(/\s/g, ""), "hex"));
/** 10.0.0.1 asks who has 10.0.0.2. */
const ARP = hex(`ffffffffffff 0200000000bb 0806 0001080006040001 0200000000bb 0a000001 000000000000 0a000002`);
/** An echo request of 10.0.0.1 with 8 bytes of payload, its checksums by hand. */
const PING = hex(`0200000000aa 0200000000bb 0800 45000024 00004000 40012 6d7 0a000001 0a000002
  0800 f7fa 0001 0001 0000 0000 0001 0002`);
const OTHER = hex(`0200000000aa 0200000000bb 88b5 ${"5a".repeat(50)}`);

async function start(devices: readonly string[], app: readonly string[]): Promise<Program> {
  const program = new Program(MAIN, [...EAL, ...devices.map((text) => `--vdev=${text}`), "--", "-i", ...app]);
  programs.push(program);
  await program.expect(PROMPT);
  return program;
}

/** Runs a mode over the packets of a file until all have been received, and returns what was sent. */
async function forward(mode: string, packets: readonly Uint8Array[], ...app: string[]): Promise<string[]> {
  const [rx, tx] = [`${folder}/${mode}-rx.pcap`, `${folder}/${mode}-tx.pcap`];
  writeFileSync(rx, writePcap(packets.map((data, i) => ({ seconds: i, nanoseconds: 0, data }))));
  const pmd = await start([`net_pcap0,rx_pcap=${rx},tx_pcap=${tx}`], [`--forward-mode=${mode}`, ...app]);
  await pmd.ask("start", PROMPT);
  while (!(await pmd.ask("show port stats 0", PROMPT)).includes(`RX-packets: ${packets.length} `));
  pmd.child.stdin.end("stop\nquit\n");
  expect((await pmd.exit).code).toBe(0);
  expect(pmd.errors).toBe("");
  return readPcap(readFileSync(tx)).packets.map(({ data }) => Buffer.from(data).toString("hex"));
}

beforeAll(() => mkdirSync(folder, { recursive: true }));
afterEach(() => {
  for (const program of programs.splice(0)) program.kill();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const text = (bytes: Uint8Array, addresses = "") =>
  addresses + Buffer.from(bytes).toString("hex").slice(addresses.length);

describe("forwarding modes on packets of a file", () => {
  it("io leaves them alone, macswap and mac change their addresses, rxonly sends nothing", async () => {
    const packets = [ARP, PING, OTHER];
    const [io, macswap, mac, rxonly] = await Promise.all([
      forward("io", packets),
      forward("macswap", packets),
      forward("mac", packets, "--eth-peer=0,02:00:00:00:00:99"),
      forward("rxonly", packets),
    ]);
    expect(io).toEqual(packets.map((packet) => text(packet)));
    expect(macswap).toEqual([
      text(ARP, "0200000000bbffffffffffff"),
      text(PING, "0200000000bb0200000000aa"),
      text(OTHER, "0200000000bb0200000000aa"),
    ]);
    for (const [i, packet] of mac.entries()) {
      expect(packet.slice(0, 12)).toBe("020000000099");
      expect(packet.slice(24)).toBe(text(packets[i]!).slice(24));
    }
    expect(rxonly).toEqual([]);
  });

  it("icmpecho answers ARP and ping and nothing else", async () => {
    const [arp, ping, ...more] = await forward("icmpecho", [OTHER, ARP, OTHER, PING]);
    expect(more).toEqual([]);
    expect(arp!.slice(0, 12)).toBe("0200000000bb");
    expect(arp!.slice(28, 44)).toBe("0001080006040002");
    expect(arp!.slice(56)).toBe("0a000002" + "0200000000bb" + "0a000001");
    expect(ping!.slice(52, 68)).toBe("0a0000020a000001");
    expect(ping!.slice(68, 76)).toBe("0000fffa");
  });
});

describe("ports without end", () => {
  it("net_null receives and sends without a limit, and the rates are told", async () => {
    const pmd = await start(["net_null0,size=128"], []);
    await pmd.ask("start", PROMPT);
    let [rate, received] = [0, 0];
    while (rate === 0 || received < 1000) {
      const shown = await pmd.ask("show port stats 0", PROMPT);
      received = Number(/RX-packets: (\d+)/.exec(shown)![1]);
      rate = Number(/Rx-pps: +(\d+)/.exec(shown)![1]);
    }
    const stopped = await pmd.ask("stop", PROMPT);
    const [, rx, tx] = /RX-packets: (\d+)[\s\S]*?TX-packets: (\d+)/.exec(stopped)!;
    expect(tx).toBe(rx);
    const stats = await pmd.ask("show port stats 0", PROMPT);
    const [, packets, bytes] = /RX-packets: (\d+) .*RX-bytes: +(\d+)/.exec(stats)!;
    expect(Number(bytes)).toBe(128 * Number(packets));
    expect(await pmd.ask("dump_mempool", PROMPT)).toContain("in_use_count=0\n");
  });

  it("two ports on one cable pass packets to each other for ever and lose none", async () => {
    const pmd = await start(["net_ring0,rings=cable", "net_ring1,rings=cable"], ["--port-topology=loop"]);
    await pmd.ask("start tx_first 4", PROMPT);
    let total = 0;
    while (total < 100_000) {
      const shown = await pmd.ask("show fwd stats all", PROMPT);
      total = Number(/for all ports[\s\S]*RX-packets: (\d+)/.exec(shown)![1]);
    }
    const stopped = await pmd.ask("stop", PROMPT);
    for (const match of stopped.matchAll(/-dropped: (\d+)/g)) expect(match[1]).toBe("0");
    expect(await pmd.ask("dump_mempool", PROMPT)).toContain("in_use_count=256\n");
    expect(await pmd.ask("port stop all", PROMPT)).toContain("Done");
    await pmd.ask("port close all", PROMPT);
    pmd.child.stdin.end("quit\n");
    expect((await pmd.exit).code).toBe(0);
  });
});

describe("one packet to several ports", () => {
  const [from, a, b] = [`${folder}/several-rx.pcap`, `${folder}/several-a.pcap`, `${folder}/several-b.pcap`];
  const packets = [ARP, PING, OTHER];
  const sent = (path: string) => readPcap(readFileSync(path)).packets.map(({ data }) => text(data));
  const DEVICES = [`net_pcap0,rx_pcap=${from}`, `net_pcap1,tx_pcap=${a}`, `net_pcap2,tx_pcap=${b}`];

  async function run(...commands: string[]): Promise<Program> {
    writeFileSync(from, writePcap(packets.map((data, i) => ({ seconds: i, nanoseconds: 0, data }))));
    const pmd = await start(DEVICES, []);
    for (const command of [...commands, "start"]) await pmd.ask(command, PROMPT);
    while (!(await pmd.ask("show port stats 0", PROMPT)).includes("RX-packets: 3 "));
    await pmd.ask("stop", PROMPT);
    expect(await pmd.ask("dump_mempool", PROMPT)).toContain("in_use_count=0\n");
    pmd.child.stdin.end("quit\n");
    expect((await pmd.exit).code).toBe(0);
    expect(pmd.errors).toBe("");
    return pmd;
  }

  it("flood sends it to all others, and its mbuf is free when the last has sent it", async () => {
    const pmd = await run("set fwd flood");
    expect(pmd.output).toContain("RX P=0/Q=0 (socket 0) -> TX P=1/Q=0 (socket 0)");
    expect([sent(a), sent(b)]).toEqual([packets.map((p) => text(p)), packets.map((p) => text(p))]);
  });

  it("a mirror gets what a port receives, beside its peer", async () => {
    await run("set portlist 0,1", "set mirror 0 2");
    expect([sent(a), sent(b)]).toEqual([packets.map((p) => text(p)), packets.map((p) => text(p))]);
  });

  it("a port is not its own mirror, and modes that change packets have none", async () => {
    const pmd = await start(["net_null0", "net_null1"], []);
    expect(await pmd.ask("set mirror 0 0", PROMPT)).toContain("Port 0 cannot be its own mirror");
    await pmd.ask("set mirror 0 1", PROMPT);
    await pmd.ask("set fwd macswap", PROMPT);
    expect(await pmd.ask("start", PROMPT)).toContain("Mode macswap changes or ends packets");
    await pmd.ask("set mirror 0 off", PROMPT);
    expect(await pmd.ask("start", PROMPT)).toContain("macswap packet forwarding");
    pmd.child.stdin.end("quit\n");
    expect((await pmd.exit).code).toBe(0);
  });
});

describe("records", () => {
  it("tell how long a packet takes and how large bursts are, from when they are asked for", async () => {
    const pmd = await start(["net_null0", "net_null1"], ["--burst=16", "--record-burst-stats"]);
    expect(await pmd.ask("show lcore usage", PROMPT)).toContain("never started");
    await pmd.ask("start", PROMPT);
    let first = "";
    while (!/RX-bursts : [1-9]/.test(first)) first = await pmd.ask("show fwd stats all", PROMPT);
    expect(first).toMatch(/RX-bursts : \d+ \[\d+% of 16 pkts/);
    expect(first).not.toContain("cycles/packet=");
    expect(await pmd.ask("show lcore usage", PROMPT)).toMatch(/running .* - +- +-\n/);
    expect(await pmd.ask("set record-core-cycles on", PROMPT)).toContain("begin anew");
    while (!/running .* [\d.]+% +[\d.]+ +\d+\n/.test(await pmd.ask("show lcore usage", PROMPT)));
    expect(await pmd.ask("stop", PROMPT)).toMatch(
      /CPU cycles\/packet=\d+\.\d\d \(busy cycles=\d+ \/ total io packets=\d+\)/,
    );
    expect(await pmd.ask("set poll-mode lazy", PROMPT)).toContain("expected one of busy, adaptive, interrupt");
    await pmd.ask("set poll-mode interrupt", PROMPT);
    pmd.child.stdin.end("quit\n");
    expect((await pmd.exit).code).toBe(0);
  });
});
