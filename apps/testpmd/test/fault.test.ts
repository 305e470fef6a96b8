// A NIC that misbehaves on command: one testpmd emulates it and is told to, another drives it with net_iavf and must get over it.
import { mkdtempSync, rmSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { MAIN, Program, TWO_LCORES } from "./program.ts";

const folder = mkdtempSync("/tmp/emudev-fault-");
const PROMPT = /testpmd> /; // events may be printed behind it
const EAL = ["--in-memory", "-m", "128", ...TWO_LCORES];
let device: Program;
let driver: Program;

async function start(...vdevs: string[]): Promise<Program> {
  const program = new Program(MAIN, [...EAL, ...vdevs.map((text) => `--vdev=${text}`), "--", "-i"]);
  await program.expect(PROMPT);
  return program;
}

const tell = (line: string): Promise<string> => device.ask(line, PROMPT);
const drive = (line: string): Promise<string> => driver.ask(line, PROMPT);
const fault = (words: string): Promise<string> => tell(`fault emu_iavf0 ${words}`);

async function count(pmd: Program, what: string): Promise<number> {
  return Number(new RegExp(`${what}: (\\d+)`).exec(await pmd.ask("show port xstats 0", PROMPT))![1]);
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10));
}

/** What an operator does with a port whose device was reset; packets come through again. */
async function revive(): Promise<void> {
  for (const line of ["stop", "port stop 0", "port reset 0", "port start 0", "set fwd txonly"]) await drive(line);
  const before = await count(device, "rx_good_packets");
  await drive("start");
  await until(async () => (await count(device, "rx_good_packets")) > before);
}

beforeAll(async () => {
  device = await start(`emu_iavf0,path=${folder}/s,id=0`, "net_avfbe0,id=0,avf_emu_id=0");
  driver = await start(`net_iavf0,path=${folder}/s`);
  await tell("set fwd rxonly");
  await drive("set fwd rxonly");
  for (const pmd of [device, driver]) await pmd.ask("start", PROMPT);
}, 120_000);

afterAll(() => {
  for (const pmd of [driver, device]) pmd?.kill();
  rmSync(folder, { recursive: true, force: true });
});

test("what is no fault is answered with what there is", async () => {
  expect(await tell("help fault")).toMatch(/fault <device> drop <message> \[<times>\] +\S/);
  expect(await fault("drop")).toMatch(/expected a virtchnl message, or any; usage:\n {2}fault <device> drop/);
  expect(await fault("drop NOTHING")).toContain("'NOTHING' is no virtchnl message");
  expect(await fault("refuse ENABLE_QUEUES MAYBE")).toMatch(/'MAYBE' is no virtchnl status: ERR_PARAM/);
  expect(await fault("delay any soon")).toContain("ms 'soon': expected a number from 1 to 3600000");
  expect(await fault("stall rx4")).toContain("'rx4' is no queue: rx0 to rx3, tx0 to tx3, all");
  expect(await fault("descriptor tx0 empty")).toContain("expected a receive queue");
  expect(await fault("mute 5")).toContain("'5' is no vector: 0 (admin queue) to 4, all");
  expect(await tell("fault emu_iavf7 clear")).toContain("no emulated AVF 'emu_iavf7'; there are emu_iavf0");
  expect(await tell("show fault emu_iavf0")).toContain("Faults of emu_iavf0: none");
});

test("the device's own view: who drives it, and what it counts", async () => {
  const shown = await tell("show emulated emu_iavf0");
  expect(shown).toContain(`client: pid ${driver.child.pid}\n`);
  expect(shown).toMatch(/queues: 2\nlink: up 10000 Mbps\n[\s\S]*\n {2}vcInvalid: 0\n/);
  expect(await tell("show emulated net_avfbe0")).toContain("no emulated device 'net_avfbe0'; there are emu_iavf0");
});

test("a request that is refused fails, and the next one is not", async () => {
  expect(await fault("refuse ADD_ETH_ADDR ERR_NO_MEMORY 1")).toContain("refuse ADD_ETH_ADDR ERR_NO_MEMORY, 1 to come");
  expect(await drive("mac_addr add 0 02:00:00:00:00:77")).toContain("answered ADD_ETH_ADDR with ERR_NO_MEMORY");
  expect(await tell("show fault emu_iavf0")).toContain("none");
  expect(await drive("mac_addr add 0 02:00:00:00:00:77")).not.toContain("ADD_ETH_ADDR");
});

test("one that is late is waited for", async () => {
  await fault("delay DEL_ETH_ADDR 200 1");
  const began = performance.now();
  expect(await drive("mac_addr remove 0 02:00:00:00:00:77")).not.toContain("DEL_ETH_ADDR");
  expect(performance.now() - began).toBeGreaterThanOrEqual(190);
});

test("ENABLE_QUEUES that is refused leaves the port stopped, and it starts afterwards", async () => {
  await drive("stop");
  await drive("port stop 0");
  await fault("refuse ENABLE_QUEUES");
  expect(await drive("port start 0")).toContain("answered ENABLE_QUEUES with ERR_PARAM");
  expect(await fault("clear")).toContain("none");
  expect(await drive("port start 0")).not.toContain("ENABLE_QUEUES");
  await drive("start");
});

test("wrong receive descriptors cost the driver that packet, not its queue", async () => {
  for (const [i, error] of ["too-long", "empty", "receive-error"].entries()) {
    expect(await fault(`descriptor rx0 ${error}`)).toContain("Faults of emu_iavf0: none");
    await until(async () => (await count(driver, "rx_errors")) === i + 1);
  }
  const before = await count(driver, "rx_good_packets");
  await fault("descriptor rx0 bad-type");
  await until(async () => (await count(driver, "rx_good_packets")) === before + 1);
  await tell("stop");
  await tell("set fwd txonly");
  await tell("start");
  await until(async () => (await count(driver, "rx_good_packets")) > before + 10_000);
  await fault("descriptor rx0 empty"); // in the middle of it all
  await until(async () => (await count(driver, "rx_errors")) === 4);
  await fault("descriptor rx0 no-end"); // the next packet is taken for its rest
  const then = await count(driver, "rx_good_packets");
  await until(async () => (await count(driver, "rx_good_packets")) > then + 10_000);
  await tell("stop");
});

test("a queue that stands still loses nothing: the ring fills, and all of it arrives later", async () => {
  await tell("set fwd rxonly");
  await tell("start");
  await drive("stop");
  await drive("set fwd txonly");
  const [sent, received] = [await count(driver, "tx_good_packets"), await count(device, "rx_good_packets")];
  expect(await fault("stall tx0")).toContain("Faults of emu_iavf0: stall tx0");
  await drive("start");
  await until(async () => (await count(driver, "tx_q0_ring_full")) > 0);
  expect(await count(device, "rx_good_packets")).toBe(received);
  await fault("clear");
  await until(async () => (await count(device, "rx_good_packets")) > received + 10_000);
  await drive("stop");
  const more = (await count(driver, "tx_good_packets")) - sent;
  await until(async () => (await count(device, "rx_good_packets")) - received === more);
});

test("the link flaps, for the guest alone", async () => {
  await drive("set fwd rxonly");
  await drive("start");
  driver.errors = device.errors = "";
  await fault("flap 2 20");
  await until(async () => driver.errors.match(/link (down|up)/g)?.join() === "link down,link up,link down,link up");
  expect(await tell("show fault emu_iavf0")).toContain("none");
  expect(device.errors).not.toContain("link");
});

test.each([
  ["reset 50", "announced RESET_IMPENDING"],
  ["surprise-reset", "has reset itself"],
  ["dead", "has reset itself"],
])("%s: the driver notices, and the port works again after a reset", async (words, sign) => {
  await fault(words);
  await driver.expect(/reset event/);
  expect(driver.errors).toContain(sign);
  driver.errors = "";
  await fault("clear");
  await drive("stop");
  await drive("port stop 0");
  expect(await drive("port start 0")).toContain("failed; the port must be reset");
  await revive();
});

test("a request that is lost runs into the driver's time-out", async () => {
  await fault("drop ADD_ETH_ADDR 1");
  expect(await drive("mac_addr add 0 02:00:00:00:00:78")).toContain("did not answer ADD_ETH_ADDR");
  await revive();
});
