// How driver and device come to terms: wait for the end of a reset, set the admin queue up, agree on the virtchnl version, get
// the resources, arm vector 0. The order is that of Linux's iavf. Called when a port is probed and after each reset.
import {
  AQ_LEN_ENABLE,
  capName,
  capsCodec,
  DYN_CTL_INTENA,
  DYN_CTL_ITR_INDX_SHIFT,
  DYN_CTL_WB_ON_ITR,
  decode,
  encode,
  ICR0_ADMINQ,
  ITR_INDEX_NONE,
  RSTAT_COMPLETED,
  RSTAT_VFACTIVE,
  VF_CAP,
  type VfResource,
  VIRTCHNL_OP,
  VIRTCHNL_VERSION_MAJOR,
  VIRTCHNL_VERSION_MINOR,
  VSI_TYPE_SRIOV,
  type VsiResource,
  versionCodec,
  vfResourceCodec,
} from "@emudev/avf";
import type { AdminQueue } from "./admin-queue.ts";
import type { Bar0 } from "./bar0.ts";
import { IavfError } from "./errors.ts";
import type { Mailbox } from "./mailbox.ts";

const RESET_TRIES = 500;
const RESET_WAIT_MS = 10;
const DISABLED_TRIES = 100;
/** More than any device of this family has, and less than a message holds. */
const RSS_BYTES_MAX = 1024;

/** What the driver asks for. */
export const WANTED_CAPS =
  VF_CAP.L2 | VF_CAP.VLAN | VF_CAP.RSS_PF | VF_CAP.WB_ON_ITR | VF_CAP.ADV_LINK_SPEED | VF_CAP.REQ_QUEUES;

export interface Resources extends VfResource {
  vsi: VsiResource;
}

/**
 * From a device that may be in reset to one that has told what it is.
 * @throws IavfError DEVICE, PROTOCOL, REFUSED, TIMEOUT
 */
export async function handshake(bar0: Bar0, queue: AdminQueue, mailbox: Mailbox, name: string): Promise<Resources> {
  await waitReset(bar0, name);
  await queue.init();
  mailbox.open();
  mailbox.listen();
  const offered = { major: VIRTCHNL_VERSION_MAJOR, minor: VIRTCHNL_VERSION_MINOR };
  const version = decode(
    versionCodec,
    await mailbox.direct.request(VIRTCHNL_OP.VERSION, encode(versionCodec, offered)),
  );
  if (version?.major !== offered.major || version.minor > offered.minor) {
    const answer = version === null ? "a truncated message" : `${version.major}.${version.minor}`;
    throw new IavfError("PROTOCOL", `${name}: virtchnl ${offered.major}.${offered.minor} was answered by ${answer}`);
  }
  const bytes = await mailbox.direct.request(VIRTCHNL_OP.GET_VF_RESOURCES, encode(capsCodec, WANTED_CAPS));
  const resources = decode(vfResourceCodec, bytes);
  const why = resources === null ? "a truncated message" : judge(resources);
  if (why !== null) throw new IavfError("PROTOCOL", `${name}: the device's resources make no sense: ${why}`);
  const vsi = resources!.vsis.find(({ vsiType }) => vsiType === VSI_TYPE_SRIOV)!;
  await bar0.write("VFINT_ICR0_ENA1", ICR0_ADMINQ);
  await armAdminVector(bar0);
  return { ...resources!, vsi };
}

/** Enables vector 0; it is disabled again each time it fires. What is pending fires at once. */
export const armAdminVector = (bar0: Bar0): Promise<void> =>
  bar0.write("VFINT_DYN_CTL01", DYN_CTL_INTENA | (ITR_INDEX_NONE << DYN_CTL_ITR_INDX_SHIFT));

/** Has the device write descriptors back without an interrupt on the queue vector, which stays disabled. */
export const setWriteBack = (bar0: Bar0): Promise<void> =>
  bar0.write("VFINT_DYN_CTLN1", DYN_CTL_WB_ON_ITR | (ITR_INDEX_NONE << DYN_CTL_ITR_INDX_SHIFT));

/** True while the device has the admin receive queue that was set up: it forgets it in a reset, and when it dies. */
export async function isAlive(bar0: Bar0): Promise<boolean> {
  const length = await bar0.read("VF_ARQLEN1");
  return (length & AQ_LEN_ENABLE) !== 0 && length !== 0xffffffff && length !== 0xdeadbeef;
}

/** Waits, for a second at most, until the device has dropped its queues after RESET_VF. */
export async function waitDisabled(bar0: Bar0): Promise<void> {
  for (let tries = 0; tries < DISABLED_TRIES && (await isAlive(bar0)); tries++) await pause();
}

async function waitReset(bar0: Bar0, name: string): Promise<void> {
  for (let tries = 0; tries < RESET_TRIES; tries++) {
    const state = (await bar0.read("VFGEN_RSTAT")) & 3;
    if (state === RSTAT_VFACTIVE || state === RSTAT_COMPLETED) return;
    await pause();
  }
  throw new IavfError("TIMEOUT", `${name}: the device is in reset for ${(RESET_TRIES * RESET_WAIT_MS) / 1000} s`);
}

const pause = () => new Promise((resolve) => setTimeout(resolve, RESET_WAIT_MS));

function judge(resources: VfResource): string | null {
  const extra = (resources.caps & ~WANTED_CAPS) >>> 0;
  if (extra !== 0) return `it granted ${capName(extra)}, which nobody asked for`;
  const { rssKeySize, rssLutSize } = resources;
  if (rssKeySize > RSS_BYTES_MAX || rssLutSize > RSS_BYTES_MAX)
    return `an RSS key of ${rssKeySize} bytes and a table of ${rssLutSize}`;
  return vfResourceCodec.invalid(resources);
}
