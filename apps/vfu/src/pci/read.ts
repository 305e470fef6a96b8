// Configuration space of a device behind a socket, read whole: in pieces of 4 bytes where a server takes no longer ones.
import { PCI_REGION, type VfioUserClient, VfioUserError } from "@emudev/vfio-user";
import { VfuError } from "../errors.ts";
import { regionFacts } from "../views.ts";
import { Space } from "./space.ts";

const EXTENDED_BYTES = 4096;

/** @throws VfuError TARGET when the device has none */
export async function readSpace(client: VfioUserClient): Promise<Space> {
  const { size, refused } = await regionFacts(client, PCI_REGION.CONFIG);
  if (refused !== null) throw new VfuError("TARGET", `region 7, configuration space: ${refused}`);
  if (size === 0) throw new VfuError("TARGET", "region 7 is empty: no PCI device; see vfu regions");
  const length = Math.min(size, EXTENDED_BYTES);
  try {
    return new Space(await client.regionRead(PCI_REGION.CONFIG, 0, length));
  } catch (error) {
    if (!(error instanceof VfioUserError) || error.code !== "VFU_REFUSED") throw error;
  }
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += 4) bytes.set(await client.regionRead(PCI_REGION.CONFIG, at, 4), at);
  return new Space(bytes);
}
