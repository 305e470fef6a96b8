// Takes the state of a device that stands still (avf-state.ts), and gives one to a device that was reset: the one place that
// knows both the plain data and the objects that hold it at work. Called by migration.ts and keeper.ts on the main thread.
import { type RxQueueInfo, rxQueueNumber, type TxQueueInfo, txQueueNumber } from "@emudev/avf";
import type { AdminRing } from "../admin-ring.ts";
import type { AvfDevice } from "../device.ts";
import { makeConfig } from "../function.ts";
import { newVf, type QueueState } from "../vf.ts";
import { GRANTABLE } from "../virtchnl/session.ts";
import { type AvfState, pairOf, type QueueSnapshot, type RingState } from "./avf-state.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const unhex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, "hex"));
const hex64 = (value: bigint): string => `0x${value.toString(16)}`;

/** The state as it is now. Positions are true only while the backend has no queue. */
export function takeState(device: AvfDevice): AvfState {
  const { vf, attributes, admin, interrupts, doorbells, params } = device;
  const config = new Uint8Array(device.config.bytes);
  device.config.read(0, config);
  return {
    queues: params.queues,
    mtu: params.mtu,
    pairs: vf.rx.length,
    ready: vf.ready,
    caps: vf.caps,
    minor: vf.minor,
    rx: vf.rx.map((queue, i) => queueOut(queue, device.positions.get(rxQueueNumber(i)))),
    tx: vf.tx.map((queue, i) => queueOut(queue, device.positions.get(txQueueNumber(i)))),
    macs: [...vf.macs.keys()],
    vlans: [...vf.vlans],
    mac: hex(attributes.get("mac")),
    promiscUnicast: attributes.get("promisc_unicast"),
    promiscMulticast: attributes.get("promisc_multicast"),
    vlanStrip: attributes.get("vlan_strip"),
    rssKey: hex(attributes.get("rss_key")),
    rssLut: hex(attributes.get("rss_lut")),
    rssHena: hex64(attributes.get("rss_hena")),
    linkTold: device.link.told,
    atq: ringOut(admin.atq),
    arq: ringOut(admin.arq),
    backlog: admin.backlog.map(({ op, status, data }) => ({ op, status, data: hex(data) })),
    icr0: interrupts.causes,
    icr0Ena: interrupts.icr0Ena >>> 0,
    itr0: [...interrupts.itr0],
    vectors: interrupts.vectors.map(({ armed, pending }, i) => ({ kept: interrupts.keptOf(i), armed, pending })),
    registers: device.bar0.plain(),
    doorbells: doorbells.words(),
    config: hex(trimmed(config)),
    msix: hex(device.msix.table()),
    stats: Array.from(new BigUint64Array(device.stats().slice().buffer), hex64),
  };
}

/** Why a device cannot take a state that is valid by itself; null = it can. */
export function misfit(device: AvfDevice, state: AvfState): string | null {
  const { queues, mtu } = device.params;
  if (state.queues !== queues) return `the state is of a device with queues=${state.queues}, this one has ${queues}`;
  if (state.mtu !== mtu) return `the state is of a device with mtu=${state.mtu}, this one has ${mtu}`;
  if ((state.caps & ~GRANTABLE) !== 0) return `capabilities 0x${(state.caps & ~GRANTABLE).toString(16)} are not known`;
  const stray = state.doorbells.find(([offset]) => !device.doorbells.covers(offset));
  if (stray !== undefined) return `0x${stray[0].toString(16)} is no doorbell register`;
  // A space of its own takes the bytes first: what it does not keep as it was given is no state of such a function.
  const trial = makeConfig(device.vectors, async () => {});
  const want = new Uint8Array(trial.bytes);
  want.set(unhex(state.config).subarray(0, trial.bytes));
  void trial.write(0, want);
  const got = new Uint8Array(trial.bytes);
  trial.read(0, got);
  return hex(got) === hex(want) ? null : "the configuration space is not that of an AVF with these vectors";
}

/**
 * Gives a state that is valid and fits to a device that was reset. Resolves when the backend knows the settings.
 * @param placed positions are there already
 */
export async function putState(device: AvfDevice, state: AvfState, placed = false): Promise<void> {
  const { admin, interrupts, doorbells, backend, positions } = device;
  const vf = newVf(state.pairs);
  Object.assign(vf, { ready: state.ready, caps: state.caps, minor: state.minor });
  state.rx.forEach((saved, i) => {
    vf.rx[i] = queueIn(saved, pairOf(state, i).rx);
    if (!placed) positions.set(rxQueueNumber(i), saved.position);
  });
  state.tx.forEach((saved, i) => {
    vf.tx[i] = queueIn(saved, pairOf(state, i).tx);
    if (!placed) positions.set(txQueueNumber(i), saved.position);
  });
  vf.macs = new Map(state.macs.map((mac) => [mac, unhex(mac)]));
  vf.vlans = new Set(state.vlans);
  device.vf = vf;
  device.pairs = state.pairs;
  device.link.told = state.linkTold;
  ringIn(admin.atq, state.atq);
  ringIn(admin.arq, state.arq);
  admin.backlog = state.backlog.map(({ op, status, data }) => ({ op, status, data: unhex(data) }));
  device.bar0.setPlain(state.registers);
  doorbells.setWords(state.doorbells);
  device.config.reset();
  const config = new Uint8Array(device.config.bytes);
  config.set(unhex(state.config));
  void device.config.write(0, config);
  device.msix.write(0, unhex(state.msix));
  device.statsBase = state.stats.map(BigInt);
  device.mapItrRegisters();
  interrupts.restore(state.icr0, state.icr0Ena, state.itr0, state.vectors);
  await Promise.all([
    backend.setAttr("mac", unhex(state.mac)),
    backend.setAttr("mac_filters", [...vf.macs.values()]),
    backend.setAttr(
      "vlan_filters",
      [...vf.vlans].sort((a, b) => a - b),
    ),
    backend.setAttr("promisc_unicast", state.promiscUnicast),
    backend.setAttr("promisc_multicast", state.promiscMulticast),
    backend.setAttr("vlan_strip", state.vlanStrip),
    backend.setAttr("rss_key", unhex(state.rssKey)),
    backend.setAttr("rss_lut", unhex(state.rssLut)),
    backend.setAttr("rss_hena", BigInt(state.rssHena)),
  ]);
}

function queueOut(
  { info, ...rest }: QueueState<RxQueueInfo> | QueueState<TxQueueInfo>,
  position: number,
): QueueSnapshot {
  const { enabled, resume, vector, itr } = rest;
  if (info === null) return { info, enabled, resume, vector, itr, position: 0 };
  const plain = Object.entries(info).map(([name, value]) => [name, typeof value === "bigint" ? hex64(value) : value]);
  return { info: Object.fromEntries(plain), enabled, resume, vector, itr, position };
}

function queueIn<Info>({ info, enabled, resume, vector, itr }: QueueSnapshot, decoded: Info): QueueState<Info> {
  return { info: info === null ? null : decoded, enabled, resume, vector, itr };
}

const ringOut = ({ head, tail, len, bal, bah }: AdminRing): RingState => ({
  head,
  tail,
  len: len >>> 0,
  bal: bal >>> 0,
  bah: bah >>> 0,
});

const ringIn = (ring: AdminRing, saved: RingState): void => void Object.assign(ring, saved);

/** Without the zeroes at its end. */
function trimmed(bytes: Uint8Array): Uint8Array {
  let end = bytes.length;
  while (end > 64 && bytes[end - 1] === 0) end--;
  return bytes.subarray(0, end);
}
