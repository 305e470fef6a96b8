// RSS under a guest's own iavf driver: its key, table and packet classes decide which queue an answer comes to, and the kernel
// is told the hash. What it saw is read from its tracepoint napi_gro_receive_entry, which has queue and hash of each packet.
import { expect, test } from "vitest";
import { scene } from "../src/scene.ts";

const FLOWS = 120;
const QUEUES = 4;
const TRACE = "/sys/kernel/tracing";

test(
  "answers to pings of many addresses come to all four queues, each to that of its hash, from one queue of the port",
  scene(async (set) => {
    await set.testpmd({ eal: set.avf(0, `queues=${QUEUES}`), app: ["--forward-mode=icmpecho"] });
    const guest = await set.boot({ name: "rss", smp: QUEUES });
    const nic = await guest.nicUp(0, "10.0.0.2/8");
    await guest.ok(`[ -d ${TRACE}/events ] || mount -t tracefs tracefs ${TRACE}`);
    await guest.ok(`echo 1 > ${TRACE}/events/net/napi_gro_receive_entry/enable`);
    // All over 10.0.0.0/8: the hash is linear, and the guest's key is another one at each boot. Neighbours alone can share
    // their lowest two bits; with 24 bits that differ, once in some million boots.
    const mixed = (i: number, factor: number): number => 1 + ((i * factor) % 251);
    const addresses = Array.from(
      { length: FLOWS },
      (_, i) => `10.${mixed(i, 97)}.${mixed(i, 57)}.${mixed(i, 23)}`,
    ).join(" ");
    await guest.ok(`for a in ${addresses}; do ping -c 1 -W 10 $a > /dev/null || exit 1; done`);
    const lines = (await guest.ok(`grep -F "dev=${nic} " ${TRACE}/trace | grep protocol=0x0800`)).split("\n");
    const seen = lines.map((line) => {
      const [, queue, hash] = /queue_mapping=(\d+) .* hash=0x([0-9a-f]+) /.exec(line) ?? [];
      return { queue: Number(queue) - 1, hash: Number.parseInt(hash!, 16) }; // the kernel counts recorded queues from 1
    });
    expect(seen.length).toBeGreaterThanOrEqual(FLOWS);
    // Linux's iavf fills its table with entry modulo queues.
    for (const { queue, hash } of seen) expect(queue, `hash ${hash.toString(16)}`).toBe((hash & 63) % QUEUES);
    expect(new Set(seen.map(({ queue }) => queue))).toEqual(new Set([0, 1, 2, 3]));
    expect(new Set(seen.map(({ hash }) => hash)).size).toBeGreaterThan(FLOWS / 2);
  }),
);
