// After every answer to a driver, the file of state= holds what the device is: whatever requests, register writes, resets and
// partings came before, in any order. Heads of admin queues, doorbells, what is pending and counters are made anew by a
// driver that comes back and may be older.
import { readFileSync } from "node:fs";
import { encode, irqMapCodec, VIRTCHNL_OP as OP, queueSelectCodec, requestQueuesCodec } from "@emudev/avf";
import { PCI_REGION } from "@emudev/vfio-user";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import type { AvfState } from "../src/control/state/avf-state.ts";
import { readFile } from "../src/control/state/file-layout.ts";
import { takeState } from "../src/control/state/snapshot.ts";
import { both, bringUp, queueConfig } from "./support/bring-up.ts";
import { endEal, Guest, makeRig, type Rig, socketPath } from "./support/device-rig.ts";
import { macs, u32 } from "./support/guest-driver.ts";

const SEED = Number(process.env.EMUDEV_SEED ?? 3);
afterAll(endEal);

function lasting(state: AvfState): unknown {
  const queue = ({ position: _, enabled, resume, ...rest }: AvfState["rx"][number]) => ({
    ...rest,
    on: enabled || resume,
  });
  const { atq, arq, backlog: _b, vectors, doorbells: _d, stats: _s, linkTold: _l, icr0: _i, rx, tx, ...rest } = state;
  const ring = ({ len, bal, bah }: AvfState["atq"]) => ({ len, bal, bah });
  const kept = vectors.map((vector) => vector.kept);
  return { ...rest, kept, atq: ring(atq), arq: ring(arq), rx: rx.map(queue), tx: tx.map(queue) };
}

/** What the next process would find. */
function check(rig: Rig, file: string, wasReset: boolean): void {
  const kept = readFile(readFileSync(file));
  if ("wrong" in kept) throw new Error(kept.wrong);
  if (wasReset) expect(kept.state).toBeNull();
  else expect(lasting(kept.state!)).toEqual(lasting(takeState(rig.device)));
}

const map = { vsiId: 1, vectorId: 2, rxqMap: 1, txqMap: 1, rxitrIdx: 1, txitrIdx: 0 };
const REQUESTS: Record<string, [number, Uint8Array]> = {
  add: [OP.ADD_ETH_ADDR, macs([9, 1], [11, 2])],
  del: [OP.DEL_ETH_ADDR, macs([9, 1])],
  vlan: [OP.ADD_VLAN, Uint8Array.of(1, 0, 2, 0, 5, 0, 6, 0)],
  strip: [OP.ENABLE_VLAN_STRIPPING, new Uint8Array(0)],
  promiscuous: [OP.CONFIG_PROMISCUOUS_MODE, Uint8Array.of(1, 0, 3, 0)],
  queues: [OP.CONFIG_VSI_QUEUES, queueConfig],
  vectors: [OP.CONFIG_IRQ_MAP, encode(irqMapCodec, { vectors: [map] })],
  enable: [OP.ENABLE_QUEUES, both],
  enableRx: [OP.ENABLE_QUEUES, encode(queueSelectCodec, { vsiId: 1, rxQueues: 1, txQueues: 0 })],
  disable: [OP.DISABLE_QUEUES, both],
  hena: [OP.SET_RSS_HENA, new Uint8Array(8)],
  stats: [OP.GET_STATS, u32(0)],
  nonsense: [OP.ADD_ETH_ADDR, Uint8Array.of(1, 2, 3)],
};
type Step = string;
const STEPS: readonly Step[] = [
  ...Object.keys(REQUESTS),
  "dynCtl",
  "dynCtl0",
  "icr0Ena",
  "itr0",
  "plain",
  "config",
  "msix",
  "base",
  "leave",
  "resetVf",
  "deviceReset",
  "flr",
  "pairs",
];

test("after every answer the file holds what the device is", async () => {
  const file = socketPath();
  const rig = await makeRig(`,queues=2,state=${file}`);
  let guest = await Guest.connect(rig.path);
  let value = 0;

  /** @returns whether the device was reset as by power */
  async function step(name: Step): Promise<boolean> {
    const { driver, client } = guest;
    const request = REQUESTS[name];
    const anew = async (): Promise<false> => {
      await bringUp(guest);
      return false;
    };
    if (request !== undefined) {
      await driver.request(...request);
      return false;
    }
    value = (value + 1) & 3;
    const write = async (register: Parameters<typeof driver.write>[0], bits: number, index = 0): Promise<false> => {
      await driver.write(register, bits, index);
      await driver.read("VFGEN_RSTAT");
      return false;
    };
    switch (name) {
      case "dynCtl":
        return write("VFINT_DYN_CTLN1", 1 | (value << 3), 1);
      case "dynCtl0":
        return write("VFINT_DYN_CTL01", 1 | (0 << 3) | ((40 + value) << 5));
      case "icr0Ena":
        return write("VFINT_ICR0_ENA1", value << 30);
      case "itr0":
        return write("VFINT_ITR01", 10 + value, 1);
      case "plain":
        return write("VFQF_HKEY", value, 2);
      case "base":
        return write("VF_ATQBAH1", 1); // what it is
      case "config":
        await client.regionWrite(PCI_REGION.CONFIG, 4, Uint8Array.of(4 | value, 0));
        return false;
      case "msix":
        await client.regionWrite(3, 16 * (value % 3), Uint8Array.of(value, 2, 3, 4));
        return false;
      case "leave":
        guest.close();
        guest = await Guest.connect(rig.path);
        return anew().then(() => false);
      case "resetVf":
        await driver.resetVf();
        check(rig, file, false);
        return anew();
      case "pairs":
        await driver.send(OP.REQUEST_QUEUES, encode(requestQueuesCodec, rig.device.vf.rx.length === 2 ? 1 : 2));
        await driver.awaitReset();
        check(rig, file, false);
        return anew();
      case "deviceReset":
        await client.reset();
        check(rig, file, true);
        return anew();
      default:
        await client.regionWrite(PCI_REGION.CONFIG, 0xa0 + 9, Uint8Array.of(0x80));
        check(rig, file, true);
        return anew();
    }
  }

  await bringUp(guest);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.constantFrom(...STEPS), { minLength: 1, maxLength: 12 }), async (steps) => {
      for (const name of steps) check(rig, file, await step(name));
    }),
    { seed: SEED, numRuns: 40, endOnFailure: true },
  );
  guest.close();
  await rig.end();
});
