// The device's state from one server to another, by vfio-user's migration states: stop, stop-copy and its data here; resuming,
// the data and running there. Its memory is ours and stays where it is. Called by session.ts.
import type { VfioUserClient } from "@emudev/vfio-user";
import { IavfError } from "./errors.ts";
import type { Transport } from "./transport.ts";

const PIECE_BYTES = 65_536;
const STATE_BYTES_MAX = 16 * 1024 * 1024;

/**
 * The device behind `from` stands still, its state goes to another one, and that goes on. When it cannot be, the old one does.
 * @returns the new connection; the old one is still open
 * @throws IavfError DEVICE, VfioUserError
 */
export async function moveDevice(from: Transport, connect: () => Promise<Transport>, name: string): Promise<Transport> {
  let to: Transport | null = null;
  try {
    const state = await saveDevice(from.client, name);
    to = await connect();
    if (!from.doorbells.mapped || !to.doorbells.mapped)
      throw new IavfError("DEVICE", `${name}: both devices must lend their doorbell pages (doorbell=mem)`);
    await loadDevice(to.client, state);
    return to;
  } catch (error) {
    to?.close();
    await from.client.setDeviceState("running");
    throw error;
  }
}

/**
 * Stops the device and takes its state, in pieces. It stays stopped.
 * @throws IavfError DEVICE when it does not offer migration, or does not come to an end
 */
export async function saveDevice(client: VfioUserClient, name: string): Promise<Uint8Array[]> {
  if ((await client.migrationInfo()) === 0)
    throw new IavfError("DEVICE", `${name}: the device does not offer migration`);
  await client.setDeviceState("stopCopy");
  const pieces: Uint8Array[] = [];
  for (let bytes = 0; ; ) {
    const piece = await client.migDataRead(PIECE_BYTES);
    if (piece.length === 0) return pieces;
    bytes += piece.length;
    if (bytes > STATE_BYTES_MAX)
      throw new IavfError("DEVICE", `${name}: its state has more than ${STATE_BYTES_MAX} bytes`);
    pieces.push(piece);
  }
}

/** Gives a state to another device, which goes on with it. @throws VfioUserError VFU_REFUSED when it does not take it */
export async function loadDevice(client: VfioUserClient, pieces: readonly Uint8Array[]): Promise<void> {
  await client.setDeviceState("resuming");
  for (const piece of pieces) await client.migDataWrite(piece);
  await client.setDeviceState("running");
}
