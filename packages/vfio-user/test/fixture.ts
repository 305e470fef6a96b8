// What most tests of the server start from, made anew before each test and checked to leave nothing behind after it: one server
// with a client that has greeted it, or servers as the test wants them. The names are live bindings.

import { fdCount, watcherCount } from "@emudev/linux";
import { afterEach, beforeEach, expect } from "vitest";
import { type ServerOptions, type VfioUserDevice, VfioUserServer } from "../src/index.ts";
import { LogBook, newPath, RawPeer, TestDevice, until } from "./support.ts";

export let device: TestDevice;
export let server: VfioUserServer;
export let peer: RawPeer;
export let log: LogBook;
let fdsBefore = 0;
let servers: VfioUserServer[] = [];

/** `peer` has greeted `server`, behind which is `device`; afterwards no fd is open that was not before. */
export function useGreetedPeer(options: ServerOptions): void {
  beforeEach(async () => {
    fdsBefore = fdCount();
    device = new TestDevice();
    server = new VfioUserServer(newPath(), device, options);
    server.start();
    peer = new RawPeer(server.sockAddr);
    await peer.greet();
    device.take();
  });

  afterEach(async () => {
    peer.close();
    await until(() => server.client === null, "the end of the client");
    await server.stop();
    for (const fd of device.irqFds.values()) expect(fd).toBe(-1);
    expect(fdCount()).toBe(fdsBefore);
  });
}

/** Servers by serve(), for `device`, with `log`; afterwards no fd and no watcher is left, and no error was logged. */
export function useServers(): void {
  beforeEach(() => {
    fdsBefore = fdCount();
    device = new TestDevice();
    log = new LogBook();
  });

  afterEach(async () => {
    for (const one of servers) await one.stop();
    servers = [];
    expect(watcherCount()).toBe(0);
    expect(fdCount()).toBe(fdsBefore);
    expect(log.errors).toEqual([]);
  });
}

/** A server that listens, until the test ends. */
export function serve(options: ServerOptions = {}, behind: VfioUserDevice = device): VfioUserServer {
  const one = new VfioUserServer(newPath(), behind, { log, ...options });
  one.start();
  servers.push(one);
  return one;
}
