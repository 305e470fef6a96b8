// net_iavf against the real thing in a second process: testpmd with emu_iavf and net_avfbe, sending every packet back. What
// comes back shows that offloads, segments and tags mean the same on both sides of the descriptor.
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { regName } from "@emudev/avf";
import type { EthDev } from "@emudev/ethdev";
import { type DataPortHandle, openPort } from "@emudev/ethdev/data";
import * as S from "@emudev/shm";
import { mbufBytes, mbufFree, mbufFrom, mbufSegments } from "@emudev/shm";
import { VfioUserClient } from "@emudev/vfio-user";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { eal, endEal, env, pkts, pool, socketPath, until } from "./driver-rig.ts";

const TESTPMD = fileURLToPath(new URL("../../../apps/testpmd/dist/main.js", import.meta.url));
const WINDOW = 256;
const MAC = [2, 0, 0, 0, 0, 7];

let device: ChildProcess;
let dev: EthDev;
let port: DataPortHandle;
let path = "";
let name = "";
let serial = 0;

async function startDevice(devargs = ""): Promise<void> {
  const vdevs = [
    `--vdev=emu_iavf0,path=${path},id=0,mac=${MAC.join(":")}${devargs}`,
    "--vdev=net_avfbe0,id=0,avf_emu_id=0",
  ];
  const argv = [TESTPMD, "--in-memory", "--log-level", "warning", "--lcores", "0@0,1@0", ...vdevs, "--", "-i"];
  device = spawn(process.execPath, argv, { stdio: ["pipe", "pipe", "inherit"] });
  device.stdin!.on("error", () => {});
  let out = "";
  device.stdout!.on("data", (chunk) => {
    out += chunk;
  });
  // One port: what it receives goes back to it.
  device.stdin!.write("start\n");
  await until("testpmd to forward", () => out.includes("packet forwarding"));
}

async function endDevice(): Promise<void> {
  const gone = new Promise((resolve) => device.once("close", resolve));
  device.stdin!.end("quit\n");
  await gone;
}

async function attach(mtu = 1500, queues = 1, devargs = ""): Promise<void> {
  name = `net_iavf${serial++}`;
  dev = (await eal.vdev.attach(`${name},path=${path}${devargs}`)).private as EthDev;
  await dev.configure(queues, queues, { mtu });
  for (let q = 0; q < queues; q++) {
    await dev.rxQueueSetup(q, 0, pool);
    await dev.txQueueSetup(q, 0);
  }
  await dev.start();
  await until("the link", () => dev.linkGet().up);
  port = await openPort(env, dev.dataPort());
}

beforeAll(async () => {
  path = socketPath();
  await startDevice();
});
afterEach(async () => {
  if (eal.vdev.find(name) !== undefined) await eal.vdev.detach(name);
  expect(pool.inUseCount()).toBe(0);
});
afterAll(async () => {
  if (device.exitCode === null && device.signalCode === null) await endDevice();
  await endEal();
});

interface Back {
  bytes: Uint8Array;
  segments: number;
  flags: number;
  packetType: number;
  tci: number;
}

/** Sends mbufs and waits for `count` packets. */
async function exchange(mbufs: number[], count: number, queue = 0): Promise<Back[]> {
  let sent = 0;
  let turn = 0;
  const back: Back[] = [];
  await until(`${count} packets`, () => {
    // Forwarding drops what finds no descriptor, so no more is under way than a receive ring holds.
    const room = Math.min(64, mbufs.length - sent, WINDOW - (sent - back.length));
    eal.arena.u32.set(mbufs.slice(sent, sent + room), pkts >>> 2);
    sent += port.tx[queue]!.burst(pkts, room);
    turn = (turn + 1) % port.rx.length; // the device spreads what it sends over all of them
    const n = port.rx[turn]!.burst(pkts, 64);
    for (const mbuf of eal.arena.u32.slice(pkts >>> 2, (pkts >>> 2) + n)) {
      const { u16, u32 } = eal.arena;
      back.push({
        bytes: Uint8Array.from(mbufBytes(eal.arena, mbuf)),
        segments: mbufSegments(eal.arena, mbuf).length,
        flags: u32[(mbuf + S.MBUF_OL_RX) >>> 2]!,
        packetType: u32[(mbuf + S.MBUF_PACKET_TYPE) >>> 2]!,
        tci: u16[(mbuf + S.MBUF_VLAN_TCI) >>> 1]!,
      });
      mbufFree(eal.arena, 0, mbuf);
    }
    port.tx[queue]!.flush?.();
    return back.length >= count;
  });
  return back;
}

/** A frame to ourselves: IPv4 with `payload` bytes behind a TCP or UDP header, checksums of L4 seeded, IPv4's left 0. */
function ipFrame(proto: "tcp" | "udp", payload: number, tso = false): Uint8Array {
  const l4 = proto === "tcp" ? 20 : 8;
  const frame = new Uint8Array(34 + l4 + payload);
  const view = new DataView(frame.buffer);
  frame.set(MAC, 0);
  frame.set([2, 0, 0, 0, 0, 0x99], 6);
  view.setUint16(12, 0x0800);
  view.setUint8(14, 0x45);
  view.setUint16(16, 20 + l4 + payload);
  view.setUint8(22, 64);
  view.setUint8(23, proto === "tcp" ? 6 : 17);
  frame.set([198, 18, 0, 1, 198, 18, 0, 2], 26);
  if (proto === "tcp") view.setUint8(46, 0x50);
  else view.setUint16(38, l4 + payload);
  for (let i = 0; i < payload; i++) frame[34 + l4 + i] = i * 7;
  view.setUint16(34 + (proto === "tcp" ? 16 : 6), fold(pseudo(view, tso ? 0 : l4 + payload)));
  return frame;
}
const pseudo = (view: DataView, length: number): number => sum(view, 26, 8) + view.getUint8(23) + length;
function sum(view: DataView, at: number, bytes: number): number {
  let total = 0;
  for (let i = 0; i < bytes; i++) total += view.getUint8(at + i) << (i % 2 === 0 ? 8 : 0);
  return total;
}
function fold(total: number): number {
  let value = total;
  while (value > 0xffff) value = (value & 0xffff) + (value >>> 16);
  return value;
}
/** Whether both checksums of an IPv4 packet are right. */
function isSound({ bytes }: Back): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const length = view.getUint16(16) - 20;
  return fold(sum(view, 14, 20)) === 0xffff && fold(pseudo(view, length) + sum(view, 34, length)) === 0xffff;
}

function setOffload(mbuf: number, flags: number, l4: number, mss = 0, tci = 0): void {
  const { u8, u16, u32 } = eal.arena;
  u32[(mbuf + S.MBUF_OL_TX) >>> 2] = flags;
  u8[mbuf + S.MBUF_L2_LEN] = 14;
  u16[(mbuf + S.MBUF_L3_LEN) >>> 1] = 20;
  u8[mbuf + S.MBUF_L4_LEN] = l4;
  u16[(mbuf + S.MBUF_TSO_SEGSZ) >>> 1] = mss;
  u16[(mbuf + S.MBUF_VLAN_TCI) >>> 1] = tci;
}
const CHECKSUMS = S.TX_IPV4 | S.TX_IP_CKSUM;

describe("net_iavf and a real emulated AVF", () => {
  it("get every packet back, in order and unharmed", async () => {
    await attach();
    const frames = Array.from({ length: 1000 }, (_, i) => {
      const frame = ipFrame("udp", 18 + (i % 1400));
      new DataView(frame.buffer).setUint32(42, i);
      return frame;
    });
    const back = await exchange(
      frames.map((frame) => mbufFrom(pool, 0, frame)),
      frames.length,
    );
    expect(back.findIndex(({ bytes }, i) => Buffer.compare(bytes, frames[i]!) !== 0)).toBe(-1);
    expect(back.every(({ packetType }) => (packetType & 0xff0) === (S.PTYPE_L3_IPV4 | S.PTYPE_L4_UDP))).toBe(true);
    expect(dev.statsGet()).toMatchObject({ ipackets: 1000, opackets: 1000, ierrors: 0, oerrors: 0, imissed: 0 });
  });

  it("agree on checksums", async () => {
    await attach();
    const mbufs = (["udp", "tcp"] as const).map((proto) => {
      const mbuf = mbufFrom(pool, 0, ipFrame(proto, 101));
      setOffload(mbuf, CHECKSUMS | (proto === "udp" ? S.TX_UDP_CKSUM : S.TX_TCP_CKSUM), proto === "udp" ? 8 : 20);
      return mbuf;
    });
    const back = await exchange(mbufs, 2);
    expect(back.map(isSound)).toEqual([true, true]);
  });

  it("agree on segmentation", async () => {
    await attach();
    const mbuf = mbufFrom(pool, 0, ipFrame("tcp", 10_000, true));
    setOffload(mbuf, CHECKSUMS | S.TX_TCP_SEG, 20, 1400);
    const back = await exchange([mbuf], 8);
    expect(back.map(({ bytes }) => bytes.length)).toEqual([...new Array(7).fill(1454), 54 + 200]);
    expect(back.every(isSound)).toBe(true);
    const payload = Buffer.concat(back.map(({ bytes }) => bytes.subarray(54)));
    expect(payload.equals(Buffer.from(ipFrame("tcp", 10_000).subarray(54)))).toBe(true);
  });

  it("agree on tags: inserted on the way out, left in the frame or stripped on the way in", async () => {
    await attach();
    const tagged = () => {
      const mbuf = mbufFrom(pool, 0, ipFrame("udp", 100));
      setOffload(mbuf, S.TX_VLAN, 8, 0, 0x2064);
      return mbuf;
    };
    const [kept] = await exchange([tagged()], 1);
    expect(Buffer.from(kept!.bytes.subarray(12, 18)).toString("hex")).toBe("810020640800");
    await dev.vlanOffloadSet("strip", true);
    const [stripped] = await exchange([tagged()], 1);
    expect(stripped!.bytes).toEqual(ipFrame("udp", 100));
    expect(stripped!.flags & (S.RX_VLAN | S.RX_VLAN_STRIPPED)).toBe(S.RX_VLAN | S.RX_VLAN_STRIPPED);
    expect(stripped!.tci).toBe(0x2064);
  });

  it("pass packets of several buffers with a large MTU", async () => {
    await attach(9000);
    const frame = ipFrame("udp", 8900);
    const [back] = await exchange([mbufFrom(pool, 0, frame)], 1);
    expect(back!.bytes).toEqual(frame);
    expect(back!.segments).toBe(5);
  });

  it("drop what is for somebody else, unless promiscuous", async () => {
    await attach();
    const stranger = ipFrame("udp", 50);
    stranger[5] = 0x55;
    const ours = ipFrame("udp", 60);
    const send = () => [mbufFrom(pool, 0, stranger), mbufFrom(pool, 0, ours)];
    expect((await exchange(send(), 1)).map(({ bytes }) => bytes.length)).toEqual([ours.length]);
    await dev.promiscuousEnable();
    expect((await exchange(send(), 2)).map(({ bytes }) => bytes.length)).toEqual([stranger.length, ours.length]);
  });

  it("part at once while a migration waits for another device at the same path", async () => {
    await attach();
    const migrated = expect(dev.migrate(path)).rejects.toThrow(/called off|is gone/);
    await until("the old one to stand still", () => port.rx[0]!.burst(pkts, 32) === 0);
    await eal.vdev.detach(name);
    await migrated;
    await attach(1500, 1, ",reconnect=off");
    await expect(dev.migrate(path)).rejects.toThrow(/its own path needs reconnect=on/);
    expect(await exchange([mbufFrom(pool, 0, ipFrame("udp", 50))], 1)).toHaveLength(1);
  });

  it("survive each other: the device is killed, and another takes its place", async () => {
    await attach(1500, 1, ",reconnect=off");
    let gone = false;
    dev.on("rmv", () => {
      gone = true;
    });
    device.kill("SIGKILL");
    await until("the loss", () => gone);
    expect(port.rx[0]!.burst(pkts, 32)).toBe(0);
    await eal.vdev.detach(name);
    // The new one keeps its doorbell pages to itself and lends ioeventfds: no tail goes by message.
    const writes = vi.spyOn(VfioUserClient.prototype, "regionWrite");
    await startDevice(",doorbell=fd,queues=4");
    await attach(1500, 4);
    for (let q = 0; q < 4; q++) {
      const frames = Array.from({ length: 200 }, () => mbufFrom(pool, 0, ipFrame("udp", 50)));
      expect(await exchange(frames, 200, q)).toHaveLength(200);
    }
    expect(dev.statsGet()).toMatchObject({ ipackets: 800, opackets: 800 });
    const registers = writes.mock.calls.filter(([index]) => index === 0).map(([, offset]) => regName(offset));
    expect(registers).toContain("VF_ATQT1");
    expect(registers.filter((name) => name.includes("X_TAIL"))).toEqual([]);
    writes.mockRestore();
  });

  it("can be left and taken up again by the same device", async () => {
    for (let i = 0; i < 3; i++) {
      await attach();
      expect(await exchange([mbufFrom(pool, 0, ipFrame("udp", 50))], 1)).toHaveLength(1);
      await dev.reset();
      await dev.configure(1, 1);
      await dev.rxQueueSetup(0, 64, pool);
      await dev.txQueueSetup(0, 64);
      await dev.start();
      await until("the link", () => dev.linkGet().up);
      port = await openPort(env, dev.dataPort());
      expect(await exchange([mbufFrom(pool, 0, ipFrame("udp", 50))], 1)).toHaveLength(1);
      await eal.vdev.detach(name);
    }
  });
});
