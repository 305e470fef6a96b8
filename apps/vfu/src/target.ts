// The server behind a socket, for the commands that are its client: connected, with a sentence for each way in which that
// fails, and left in order whatever happens.
import { lstatSync, readlinkSync } from "node:fs";
import { basename } from "node:path";
import { closeFd, errnoName, peerCredentials, unixConnect } from "@emudev/linux";
import { type ClientOptions, ERRNO, PCI_REGION, VfioUserClient, VfioUserError } from "@emudev/vfio-user";
import type { Context } from "./command.ts";
import { type KnownDevice, knownDevice } from "./devices.ts";
import { reason, VfuError } from "./errors.ts";
import { holders } from "./holders.ts";
import { printable } from "./names.ts";

export interface Server {
  pid: number;
  uid: number;
  /** The program, by /proc/PID/exe; "" where that cannot be read. */
  command: string;
}

export interface Target {
  client: VfioUserClient;
  socket: string;
  server: Server;
}

/** Of a command line, as far as it says how to connect. */
export interface Where {
  socket: string;
  timeout: number;
}

/** Connects, works, disconnects, also when the command is interrupted. @throws VfuError TARGET, NOBODY, BUSY */
export async function withTarget<T>(
  { socket, timeout }: Where,
  { signal }: Pick<Context, "signal">,
  work: (target: Target) => Promise<T>,
  options: ClientOptions = {},
): Promise<T> {
  const { fd, server } = open(socket, timeout);
  const client = await VfioUserClient.attach(fd, { timeoutMs: timeout, ...options }, socket).catch((error) => {
    throw whyNot(socket, timeout, error);
  });
  const end = (): void => client.close();
  signal.addEventListener("abort", end, { once: true });
  try {
    return await work({ client, socket, server });
  } catch (error) {
    if (signal.aborted && error instanceof VfioUserError && error.code === "VFU_CLOSED") {
      throw new VfuError("TARGET", `${socket}: interrupted`);
    }
    throw error instanceof VfioUserError ? new VfuError("TARGET", `${socket}: ${explain(error)}`) : error;
  } finally {
    signal.removeEventListener("abort", end);
    client.close();
  }
}

/** A connected socket, and who listens at its other end. @throws VfuError NOBODY */
export function open(socket: string, timeoutMs: number): { fd: number; server: Server } {
  let fd = -1;
  try {
    fd = unixConnect(socket);
    return { fd, server: serverOf(fd) };
  } catch (error) {
    if (fd >= 0) closeFd(fd);
    throw whyNot(socket, timeoutMs, error);
  }
}

function serverOf(fd: number): Server {
  const { pid, uid } = peerCredentials(fd);
  try {
    // Not comm, which is the main thread's name: newer versions of Node call it MainThread.
    return { pid, uid, command: printable(basename(readlinkSync(`/proc/${pid}/exe`))) };
  } catch {
    return { pid, uid, command: "" };
  }
}

/** Why nobody who speaks vfio-user answered. */
export function whyNot(socket: string, timeoutMs: number, error: unknown): VfuError {
  const { code, errno } = error as { code?: string; errno?: number };
  const fail = (kind: "NOBODY" | "BUSY" | "TARGET", text: string) =>
    new VfuError(kind, `${socket}: ${text}`, { cause: error });
  if (code === "VFU_REFUSED" && errno === ERRNO.EBUSY) {
    return fail("BUSY", `busy: ${whoHas(socket)} has the device, and a server takes one client at a time`);
  }
  if (code === "VFU_REFUSED") return fail("TARGET", `the server refuses the connection: ${errnoName(errno ?? 0)}`);
  if (code === "VFU_TIMEOUT") {
    const others = holders(socket);
    if (others.length > 0)
      return fail("BUSY", `no answer in ${timeoutMs} ms; it seems that ${whoHas(socket)} has the device`);
    return fail(
      "NOBODY",
      `no answer in ${timeoutMs} ms: no vfio-user server, or busy with another client (--timeout waits longer)`,
    );
  }
  if (code === "VFU_CLOSED" || code === "VFU_PROTOCOL") {
    return fail("NOBODY", `what listens there does not speak vfio-user: ${reason(error)}`);
  }
  if (errno === ERRNO.ENOENT) return fail("NOBODY", "there is no such socket; start the server, or check the path");
  const stat = lstatSync(socket, { throwIfNoEntry: false });
  if (errno === ERRNO.ECONNREFUSED && stat !== undefined && !stat.isSocket() && !stat.isSymbolicLink()) {
    return fail("NOBODY", "this file is not a socket");
  }
  if (errno === ERRNO.ECONNREFUSED)
    return fail("NOBODY", "nobody listens on this socket; its server has ended, start it again");
  if (errno === ERRNO.EACCES) return fail("NOBODY", "not permitted to connect; try as the user who started the server");
  if (socket === "") return new VfuError("USAGE", "the socket's path is empty");
  return new VfuError("NOBODY", reason(error), { cause: error }); // names the path itself
}

function whoHas(socket: string): string {
  const others = holders(socket);
  if (others.length === 0) return "another client";
  return others.map(({ pid, command }) => `${command || "process"} (pid ${pid})`).join(", ");
}

/** A refusal by its errno, anything else by its own words. */
function explain(error: VfioUserError): string {
  if (error.code !== "VFU_REFUSED") return error.message;
  const name = errnoName(error.errno);
  return error.message.includes(name) ? error.message : `${error.message} (${name})`;
}

/** Who the device says that it is; null where region 7 cannot be read. */
export async function identify(client: VfioUserClient): Promise<{ vendorId: number; deviceId: number } | null> {
  try {
    const [v0 = 0, v1 = 0, d0 = 0, d1 = 0] = await client.regionRead(PCI_REGION.CONFIG, 0, 4);
    return { vendorId: v0 | (v1 << 8), deviceId: d0 | (d1 << 8) };
  } catch (error) {
    if (error instanceof VfioUserError && error.code === "VFU_REFUSED") return null;
    throw error;
  }
}

export async function recognise(client: VfioUserClient): Promise<KnownDevice | null> {
  const id = await identify(client);
  return id === null ? null : knownDevice(id.vendorId, id.deviceId);
}
