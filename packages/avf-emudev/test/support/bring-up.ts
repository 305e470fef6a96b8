// A driver that has brought queue pair 0 up, and one that comes back to a device that was kept: what the tests of state= begin
// with.
import { encode, irqMapCodec, VIRTCHNL_OP as OP, queueSelectCodec, VF_CAP, vsiQueueConfigCodec } from "@emudev/avf";
import { PCI_REGION } from "@emudev/vfio-user";
import type { Guest } from "./device-rig.ts";
import { LAYOUT, macs } from "./guest-driver.ts";

/** Queue pair 0, both queues. */
export const both = encode(queueSelectCodec, { vsiId: 1, rxQueues: 1, txQueues: 1 });

const ringOf = (ringLen: number, ringAddr: bigint) => ({ vsiId: 1, queueId: 0, ringLen, ringAddr });
export const queueConfig = encode(vsiQueueConfigCodec, {
  vsiId: 1,
  pairs: [
    {
      tx: { ...ringOf(64, 0x1_0009_0000n), headwbEnabled: 0, headwbAddr: 0n },
      rx: {
        ...ringOf(96, 0x1_0009_8000n),
        hdrSize: 0,
        splithdrEnabled: 0,
        dataBufferSize: 2048,
        maxPktSize: 1518,
        crcDisable: 0,
        rxdid: 1,
        flags: 0,
        splitPos: 0,
      },
    },
  ],
});

/** Queue pair 0 enabled, an address, a command register, tails 95 and 17. */
export async function bringUp(guest: Guest, vectors = 0): Promise<void> {
  const { driver, client } = guest;
  if (vectors > 0) await guest.bindVectors(vectors);
  await client.regionWrite(PCI_REGION.CONFIG, 4, Uint8Array.of(6, 0));
  await driver.initQueues();
  await driver.hello(VF_CAP.L2 | VF_CAP.VLAN | VF_CAP.RSS_PF | VF_CAP.REQ_QUEUES);
  await driver.ask(OP.ADD_ETH_ADDR, macs([9, 1]));
  await driver.ask(OP.CONFIG_VSI_QUEUES, queueConfig);
  const map = { vsiId: 1, vectorId: 1, rxqMap: 1, txqMap: 1, rxitrIdx: 0, txitrIdx: 1 };
  await driver.ask(OP.CONFIG_IRQ_MAP, encode(irqMapCodec, { vectors: [map] }));
  await driver.ask(OP.ENABLE_QUEUES, both);
  await driver.write("QRX_TAIL1", 95);
  await driver.write("QTX_TAIL1", 17);
  await driver.read("VFGEN_RSTAT"); // posted writes are taken by now
}

/** What a driver that comes back finds and does: admin queues, tails, queues; false = the device was reset. */
export async function resume(guest: Guest): Promise<boolean> {
  const { driver } = guest;
  if ((await driver.read("VF_ATQBAL1")) !== LAYOUT.atq || (await driver.read("VF_ATQLEN1")) === 0) return false;
  for (const queue of ["ATQ", "ARQ"] as const) await driver.write(`VF_${queue}LEN1`, 0);
  await driver.initQueues();
  await driver.write("QRX_TAIL1", 40);
  await driver.write("QTX_TAIL1", 20);
  await driver.ask(OP.ENABLE_QUEUES, both);
  return true;
}
