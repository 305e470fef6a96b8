// Why a device refused an access, as far as a client can tell: the protocol's answer is an errno, but the regions are known. Called by
// place.ts for every access of read, write, watch, bench and shell.
import { errnoName } from "@emudev/linux";
import { ERRNO, REGION_FLAG, type VfioUserClient, VfioUserError } from "@emudev/vfio-user";
import { VfuError } from "./errors.ts";
import { hex, regionName, sizeText } from "./names.ts";

export interface Attempt {
  region: number;
  offset: number;
  count: number;
  verb: "read" | "write";
}

/** Does `work`; a refusal becomes a VfuError TARGET that says what is wrong with the attempt. */
export async function explained<T>(client: VfioUserClient, attempt: Attempt, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof VfioUserError && error.code === "VFU_REFUSED")) throw error;
    throw new VfuError("TARGET", await why(client, attempt, error.errno), { cause: error });
  }
}

async function why(client: VfioUserClient, attempt: Attempt, errno: number): Promise<string> {
  const { region, offset, count, verb } = attempt;
  const name = regionName(region);
  const what = `${verb} of ${count} ${count === 1 ? "byte" : "bytes"} at ${name}+${hex(offset)}`;
  const said = `${what} was answered with ${errnoName(errno)}`;
  const info = await client.getRegionInfo(region).catch(() => null);
  if (info === null || info.size === 0) return `${said}: the device has no ${name} (vfu regions lists what it has)`;
  const { size } = info;
  if (offset + count > size)
    return `${said}: ${name} has ${hex(size)} bytes${size < 1024 ? "" : ` (${sizeText(size)})`}`;
  const needed = verb === "read" ? REGION_FLAG.READ : REGION_FLAG.WRITE;
  if ((info.flags & needed) === 0) return `${said}: ${name} cannot be ${verb === "read" ? "read" : "written"}`;
  if (errno === ERRNO.EIO) return `${said}: the device itself failed; its log says why`;
  if (errno === ERRNO.EINVAL) return `${said}: perhaps it wants another width, or an offset that is a multiple of it`;
  return said;
}
