// The original library's server functions under their own names: a socket is registered, described, started;
// afterwards the device has an id. One process serves as many sockets as it likes, all on its event loop. Every
// function throws VfioUserError where the original returned -1 or NULL. New devices are better written against
// VfioUserServer; this is for code that follows the RFC.

import { mapAnywhere } from "@emudev/linux";
import { type Log, SILENT } from "../environment.ts";
import { VfioUserError } from "../errors.ts";
import { VfioUserServer } from "../server/server.ts";
import { ERRNO } from "../wire/constants.ts";
import { type Information, RegisteredDevice } from "./device.ts";
import type {
  DevInfo,
  IrqInfo,
  IrqSet,
  MemoryMapper,
  MemTable,
  NotifyOps,
  RegInfo,
  RegisterOptions,
  Resource,
} from "./types.ts";

interface Registration {
  devId: number;
  sockAddr: string;
  ops: NotifyOps;
  options: RegisterOptions;
  log: Log;
  information: Partial<Information>;
  running: { server: VfioUserServer; device: RegisteredDevice } | null;
}

const registrations = new Map<string, Registration>();
const MAPPER: MemoryMapper = { map: mapAnywhere };

/**
 * Returns the device id that the notifications carry: the lowest that is free. @throws when the address is registered.
 */
export function register(sockAddr: string, ops: NotifyOps, log: Log = SILENT, options: RegisterOptions = {}): number {
  if (registrations.has(sockAddr)) throw stateError(ERRNO.EEXIST, `${sockAddr} is registered already`);
  const taken = new Set([...registrations.values()].map((registration) => registration.devId));
  let devId = 0;
  while (taken.has(devId)) devId++;
  registrations.set(sockAddr, { devId, sockAddr, ops, options, information: {}, running: null, log });
  return devId;
}

/** Stops the device if it is started, and forgets it. */
export async function unregister(sockAddr: string): Promise<void> {
  const registration = find(sockAddr);
  if (registration.running !== null) await stop(sockAddr);
  registrations.delete(sockAddr);
}

/**
 * Listens. Device, region and interrupt information must have been set. @throws also what VfioUserServer.start throws.
 */
export function start(sockAddr: string): void {
  const { devId, ops, options, information, log } = idle(sockAddr);
  const { devInfo, regInfo, irqInfo, resources = [] } = information;
  if (devInfo === undefined || regInfo === undefined || irqInfo === undefined) {
    throw stateError(ERRNO.EINVAL, `${sockAddr}: setDevInfo, setRegInfo and setIrqInfo come before start`);
  }
  const mapper = options.mapper ?? MAPPER;
  const device = new RegisteredDevice(devId, ops, { devInfo, regInfo, irqInfo, resources }, mapper, log);
  const server = new VfioUserServer(sockAddr, device, { log, clock: options.clock });
  try {
    server.start();
  } catch (error) {
    device.release();
    throw error;
  }
  find(sockAddr).running = { server, device };
}

/** Ends the connection and stops listening; resolves when destroyDevice has been answered and all is unmapped. */
export async function stop(sockAddr: string): Promise<void> {
  const registration = find(sockAddr);
  const { running } = registration;
  if (running === null) throw stateError(ERRNO.EINVAL, `${sockAddr} is not started`);
  await running.server.stop();
  running.device.release();
  registration.running = null;
}

export function getSockAddr(devId: number): string {
  return byId(devId).sockAddr;
}

/** The client's memory as it is now; empty without a client. */
export function getMemTable(devId: number): MemTable {
  return started(devId).memTable;
}

/** The eventfds of every interrupt index. */
export function getIrq(devId: number): IrqSet[] {
  return started(devId).irqSets;
}

/** Information is set before start and never changed afterwards. */
export function setDevInfo(sockAddr: string, devInfo: DevInfo): void {
  idle(sockAddr).information.devInfo = { ...devInfo };
}

export function setRegInfo(sockAddr: string, regInfo: readonly RegInfo[]): void {
  idle(sockAddr).information.regInfo = [...regInfo];
}

export function setIrqInfo(sockAddr: string, irqInfo: readonly IrqInfo[]): void {
  idle(sockAddr).information.irqInfo = irqInfo.map((irq) => ({ ...irq }));
}

export function setResource(sockAddr: string, resources: readonly Resource[]): void {
  const { information } = idle(sockAddr);
  for (const { index, base, size, fd } of resources) {
    if (base === null && fd < 0)
      throw stateError(ERRNO.EINVAL, `the resource of region ${index} has no memory and no fd`);
    if (base !== null && base.length < size)
      throw stateError(ERRNO.EINVAL, `the resource of region ${index} is too short`);
  }
  information.resources = [...resources];
}

function find(sockAddr: string): Registration {
  const registration = registrations.get(sockAddr);
  if (registration === undefined) throw stateError(ERRNO.ENOENT, `${sockAddr} is not registered`);
  return registration;
}

function idle(sockAddr: string): Registration {
  const registration = find(sockAddr);
  if (registration.running !== null) throw stateError(ERRNO.EBUSY, `${sockAddr} is started: stop it first`);
  return registration;
}

function byId(devId: number): Registration {
  for (const registration of registrations.values()) if (registration.devId === devId) return registration;
  throw stateError(ERRNO.ENOENT, `no device ${devId} is registered`);
}

function started(devId: number): RegisteredDevice {
  const { running, sockAddr } = byId(devId);
  if (running === null) throw stateError(ERRNO.EINVAL, `device ${devId} (${sockAddr}) is not started`);
  return running.device;
}

function stateError(errno: number, message: string): VfioUserError {
  return new VfioUserError("VFU_STATE", errno, message);
}
