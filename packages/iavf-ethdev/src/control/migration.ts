// The device's state from one server to another, by vfio-user's migration states: stop, stop-copy and its data here; resuming,
// the data and running there. Its memory is ours and stays where it is. Called by session.ts.
import type { VfioUserClient } from "@emudev/vfio-user";
import { backoffMs } from "./backoff.ts";
import type { Device } from "./device.ts";
import { IavfError } from "./errors.ts";
import type { Transport } from "./transport.ts";

const PIECE_BYTES = 65_536;
const STATE_BYTES_MAX = 16 * 1024 * 1024;

/**
 * The device stands still, its state goes to another one, and that goes on. When it cannot be, the old one does, if it is still
 * there. The old connection stays open.
 * @param waitMs how long the old server may take to make way for another one at the same path, else 0
 * @param signal calls that off
 * @returns null, or the state when the old server went away and no other one has it
 * @throws IavfError DEVICE, VfioUserError
 */
export async function moveDevice(
  device: Device,
  connect: () => Promise<Transport>,
  waitMs: number,
  signal: AbortSignal,
): Promise<readonly Uint8Array[] | null> {
  const { name, log, transport: from } = device;
  let to: Transport | null = null;
  let saved: readonly Uint8Array[] | null = null;
  try {
    saved = await saveDevice(from.client, name);
    const bytes = saved.reduce((sum, piece) => sum + piece.length, 0);
    if (waitMs > 0) log.notice(`${name}: has taken the device's state (${bytes} bytes); its server can end now`);
    to = await patiently(connect, () => from.client.open && !signal.aborted, waitMs);
    if (!from.doorbells.mapped || !to.doorbells.mapped)
      throw new IavfError("DEVICE", `${name}: both devices must lend their doorbell pages (doorbell=mem)`);
    await loadDevice(to.client, saved);
  } catch (error) {
    to?.close();
    if (saved !== null && !from.client.open) return saved;
    await from.client.setDeviceState("running").catch(() => {});
    throw error;
  }
  device.transport = to;
  device.queue.rebind(to.bar0);
  return null;
}

/** @throws IavfError TIMEOUT when `work` takes longer, which goes on */
export async function within(work: Promise<void>, ms: number, message: string): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new IavfError("TIMEOUT", message)), ms);
  });
  await Promise.race([work, late]).finally(() => clearTimeout(timer));
}

/** Tries again until the time is over, as long as there is somebody to wait for. */
async function patiently<T>(work: () => Promise<T>, goesOn: () => boolean, waitMs: number): Promise<T> {
  const end = performance.now() + waitMs;
  for (let attempt = 0; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      const pause = backoffMs(attempt, Math.random());
      if (!goesOn() || performance.now() + pause > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
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
