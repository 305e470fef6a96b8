// A guest's own iavf driver against testpmd in icmpecho mode: bring-up, pings, queues, resets and the kinds of guest memory.
import { expect, test } from "vitest";
import { reserveHugePages } from "../src/machine.ts";
import { ping, pingAll } from "../src/ping.ts";
import { type Guest, pciAddress } from "../src/qemu.ts";
import { scene } from "../src/scene.ts";

const ECHO = ["--forward-mode=icmpecho"];
const HOST = "10.0.0.1";
const GUEST = "10.0.0.2/24";

/** Interrupts of each queue vector of a network device so far, from /proc/interrupts. */
async function queueInterrupts(guest: Guest, nic: string): Promise<number[]> {
  const counts: number[] = [];
  for (const line of (await guest.ok(`nic_irqs ${nic}-TxRx`)).split("\n")) {
    const queue = Number(/TxRx-(\d+)/.exec(line)![1]);
    counts[queue] = line
      .slice(line.indexOf(":") + 1, line.indexOf("PCI"))
      .trim()
      .split(/\s+/)
      .reduce((sum, word) => sum + Number(word), 0);
  }
  return counts;
}

test(
  "a. the link is up at the configured speed and MAC, and of 100 pings through icmpecho none is lost",
  scene(async (set) => {
    await set.testpmd({ eal: set.avf(0, "mac=02:00:00:00:0a:01,speed=25000"), app: ECHO });
    const guest = await set.boot({ name: "a" });
    const nic = await guest.nicUp(0, GUEST);
    expect(await guest.ok(`cat /sys/class/net/${nic}/address`)).toBe("02:00:00:00:0a:01");
    expect(await guest.ok(`cat /sys/class/net/${nic}/speed`)).toBe("25000");
    expect(await ping(guest, HOST, { count: 100 })).toEqual({ sent: 100, received: 100 });
  }),
);

test(
  "c. four queue pairs: each queue interrupts; rebind, link down and up, MTU 9000 and a reboot are each followed by pings",
  scene(async (set) => {
    const eal = set.avf(0, "queues=4,mtu=9000");
    const testpmd = await set.testpmd({ eal, app: [...ECHO, "--rxq=4", "--txq=4"] });
    const guest = await set.boot({ name: "c", smp: 4, reboot: true, memoryMiB: 384 });
    const nic = await guest.nicUp(0, GUEST);

    // the CPU chooses the queue by the kernel's transmit packet steering
    const queues = `/sys/class/net/${nic}/queues`;
    for (const cpu of [0, 1, 2, 3]) await guest.ok(`echo ${(1 << cpu).toString(16)} > ${queues}/tx-${cpu}/xps_cpus`);
    const before = await queueInterrupts(guest, nic);
    for (const cpu of [0, 1, 2, 3]) await pingAll(guest, HOST, { cpu });
    const after = await queueInterrupts(guest, nic);
    expect(after).toHaveLength(4);
    for (const queue of [0, 1, 2, 3]) expect(after[queue], `queue ${queue}`).toBeGreaterThan(before[queue]!);

    const driver = "/sys/bus/pci/drivers/iavf";
    await guest.ok(`echo ${pciAddress(0)} > ${driver}/unbind`);
    await guest.ok(`echo ${pciAddress(0)} > ${driver}/bind`);
    await guest.nicUp(0, GUEST);
    await pingAll(guest, HOST);

    await guest.ok(`ip link set ${nic} down`);
    await testpmd.ask("show port info 0", /Link status: down/);
    await guest.ok(`ip link set ${nic} up && wait_carrier ${nic}`);
    await pingAll(guest, HOST);

    // Linux 6.1 does it and yet says EBUSY, after 5 s: it waits for a reset that needs the lock which the waiting one holds
    await guest.run(`ip link set ${nic} mtu 9000`);
    await guest.ok(`until_true 100 '[ $(cat /sys/class/net/${nic}/mtu) = 9000 ]'; sleep 1; wait_carrier ${nic}`);
    await pingAll(guest, HOST, { size: 8900 });
    const counters = await guest.ok("grep '^Ip:' /proc/net/snmp");
    const [names, values] = counters.split("\n").map((line) => line.split(" "));
    for (const name of ["FragCreates", "ReasmReqds"]) expect(values![names!.indexOf(name)], name).toBe("0");

    await guest.reboot();
    await guest.nicUp(0, GUEST);
    await pingAll(guest, HOST);
  }),
);

test(
  "f. a guest whose memory is not shared is served by messages, without file descriptors",
  scene(async (set) => {
    const testpmd = await set.testpmd({ eal: set.avf(), app: ECHO });
    const guest = await set.boot({ name: "f", ram: "private" });
    await guest.nicUp(0, GUEST);
    await pingAll(guest, HOST, { count: 20 });
    await pingAll(guest, HOST, { count: 5, size: 1400 });
    expect(testpmd.maps().filter((line) => line.includes("memory-backend"))).toEqual([]);
  }),
);

test(
  "h. one guest with two devices, one with trapped doorbells, pings through each",
  scene(async (set) => {
    await set.testpmd({ eal: [...set.avf(0), ...set.avf(1, "doorbell=fd")], app: ECHO });
    const guest = await set.boot({ name: "h", devices: [set.socket(0), set.socket(1)] });
    await guest.nicUp(0, GUEST);
    await guest.nicUp(1, "10.0.1.2/24");
    await pingAll(guest, HOST);
    await pingAll(guest, "10.0.1.1");
  }),
);

test(
  "j. interrupt mode: pings by trapped doorbells, which wake the lcore; the other poll modes while it runs",
  scene(async (set) => {
    const eal = [...set.avf(0, "doorbell=fd"), "--poll-mode=interrupt"];
    const testpmd = await set.testpmd({ eal, app: ECHO });
    const guest = await set.boot({ name: "j" });
    await guest.nicUp(0, GUEST);
    expect(await ping(guest, HOST, { count: 20 })).toEqual({ sent: 20, received: 20 });
    for (const mode of ["busy", "adaptive", "interrupt"]) {
      testpmd.send(`set poll-mode ${mode}`);
      await pingAll(guest, HOST);
    }
  }),
);

test(
  "i. a guest on 2 MiB huge pages",
  scene(async (set, context) => {
    const pages = reserveHugePages(256);
    if ("refusal" in pages) context.skip(pages.refusal);
    try {
      const testpmd = await set.testpmd({ eal: set.avf(), app: ECHO });
      const guest = await set.boot({ name: "i", ram: "hugetlb" });
      await guest.nicUp(0, GUEST);
      await pingAll(guest, HOST, { count: 20 });
      expect(testpmd.maps().filter((line) => line.includes("memory-backend")).length).toBeGreaterThan(0);
      await guest.destroy();
    } finally {
      pages.release();
    }
  }),
);
