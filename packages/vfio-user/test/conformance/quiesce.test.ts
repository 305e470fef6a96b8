// libvfio-user's test_quiesce, and the quiescing cases of test_dma_map, test_dma_unmap, test_dirty_pages and
// test_request_errors: a device that needs time before a map, an unmap, a reset or a change of state is in effect. Its
// "EBUSY now, device_quiesced later" is a promise here. Nothing but the test decides when the device is ready.

import { closeFd, memfdCreate } from "@emudev/linux";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { COMMAND, refusal, VfioUserServer } from "../../src/index.ts";
import { MigratableDevice } from "../migratable.ts";
import { concat, fields, gate, newPath, RawPeer, until } from "../support.ts";
import { Rig } from "./support.ts";

const ENOENT = 2;
const ENOTTY = 25;
const SET = 0x20000;
const MAP = fields(32, 3, 0n, 0x10000n, 0x1000n);
const UNMAP = fields(24, 0, 0x10000n, 0x1000n);
const UNMAP_ALL = fields(24, 2, 0n, 0n);
const STOP = fields(16, SET | 2, 1, 0);
const START_LOG = fields(24, SET | 6, 4096n, 0, 0);
const STOP_LOG = fields(24, SET | 7, 4096n, 0, 0);

let device: MigratableDevice;
let server: VfioUserServer;
let peer: RawPeer;
let memory: number;

beforeEach(async () => {
  device = new MigratableDevice();
  server = new VfioUserServer(newPath(), device, { shortcut: Rig.shortcut });
  server.start();
  peer = new RawPeer(server.sockAddr);
  await peer.greet();
  memory = memfdCreate("memory", 0x1000);
});

afterEach(async () => {
  peer.close();
  closeFd(memory);
  device.hold = {};
  await until(() => server.client === null, "the end of the client");
  await server.stop();
});

type Hold = Record<string, (() => void | Promise<void>) | undefined>;
const hold = (name: string, how: (() => void | Promise<void>) | undefined): void => {
  (device.hold as Hold)[name] = how;
};

/** Sends a command whose callback waits; proves that its reply waits too, while another connection is served. */
async function expectToWait(name: string, command: number, body: Uint8Array, fds?: number[]): Promise<() => void> {
  const { promise, open } = gate();
  let entered = false;
  hold(name, () => {
    entered = true;
    return promise;
  });
  let replied = false;
  const reply = peer.ask(command, body, fds === undefined ? {} : { fds });
  reply.then(() => {
    replied = true;
  });
  await until(() => entered, name);
  // Another socket of this process: accepted, heard and answered (EBUSY, the device being taken) meanwhile.
  const other = new RawPeer(server.sockAddr);
  expect((await other.greet()).header.error).toBe(16);
  other.close();
  expect(replied).toBe(false);
  return async () => {
    hold(name, undefined);
    open();
    expect((await reply).header.error).toBe(0);
  };
}

const DIRTY = "dirtyLog";

describe("no reply before the device is ready", () => {
  test("test_allowed_funcs_in_quiesced_dma_register_busy, test_dma_map_busy: DMA_MAP", async () => {
    const ready = await expectToWait("dmaMap", COMMAND.DMA_MAP, MAP, [memory]);
    await ready();
    expect(device.calls.filter((call) => call.startsWith("map"))).toHaveLength(1);
  });

  test("test_allowed_funcs_in_quiesced_dma_unregister_busy, test_dma_unmap_async: DMA_UNMAP", async () => {
    await peer.errno(COMMAND.DMA_MAP, MAP, { fds: [memory] });
    const ready = await expectToWait("dmaUnmap", COMMAND.DMA_UNMAP, UNMAP);
    await ready();
    expect(await peer.errno(COMMAND.DMA_UNMAP, UNMAP)).toBe(ENOENT);
  });

  test("UNMAP_ALL", async () => {
    await peer.errno(COMMAND.DMA_MAP, MAP, { fds: [memory] });
    const ready = await expectToWait("dmaUnmapAll", COMMAND.DMA_UNMAP, UNMAP_ALL);
    await ready();
  });

  test("test_allowed_funcs_in_quiesced_reset_busy: DEVICE_RESET", async () => {
    const ready = await expectToWait("reset", COMMAND.DEVICE_RESET, new Uint8Array(0));
    await ready();
    expect(device.calls.filter((call) => call === "reset reset")).toHaveLength(1);
  });

  test("test_allowed_funcs_in_quiesed_migration_busy: a device state", async () => {
    const ready = await expectToWait("setState", COMMAND.DEVICE_FEATURE, STOP);
    expect(device.path).toEqual([]);
    await ready();
    expect(device.path).toEqual(["stop"]);
  });

  test("test_dirty_pages_start_with_quiesce, _bitmap_with_quiesce, _stop_with_quiesce: the dirty log", async () => {
    await peer.errno(COMMAND.DMA_MAP, MAP, { fds: [memory] });
    const log = device.pages;
    const wait = (): void | Promise<void> => (device.hold as Hold)[DIRTY]?.();
    device.dirtyLog = {
      pageSizes: 4096n,
      start: async (ranges: readonly { iova: bigint; size: bigint }[]) => {
        await wait();
        log.start(ranges);
      },
      stop: async () => {
        await wait();
        log.stop();
      },
      report: async (iova: bigint, size: bigint, pageSize: number, bitmap: Uint8Array) => {
        await wait();
        log.report(iova, size, pageSize, bitmap);
      },
    } as never;
    peer.close();
    await until(() => device.calls.includes("disconnected"), "the clean-up");
    peer = new RawPeer(server.sockAddr);
    await peer.greet();
    await peer.errno(COMMAND.DMA_MAP, MAP, { fds: [memory] });
    await (await expectToWait(DIRTY, COMMAND.DEVICE_FEATURE, START_LOG))();
    log.mark(0x10000n, 1);
    const report = fields(40, 0x10000 | 8, 0x10000n, 0x1000n, 4096n);
    await (await expectToWait(DIRTY, COMMAND.DEVICE_FEATURE, report))();
    await (await expectToWait(DIRTY, COMMAND.DEVICE_FEATURE, STOP_LOG))();
  });

  test("commands behind one that waits wait too, and then go in their order", async () => {
    const { promise, open } = gate();
    device.hold.dmaMap = () => promise;
    const replies: number[] = [];
    await peer.send(concat(frame(1, COMMAND.DMA_MAP, fields(32, 3, 0n, 0n, 0x1000n))));
    await peer.send(frame(2, COMMAND.REGION_WRITE, concat(fields(0n, 0, 1), Uint8Array.of(7))));
    await peer.send(frame(3, COMMAND.DEVICE_RESET, new Uint8Array(0)));
    await until(() => device.calls.some((call) => call.startsWith("map")), "the map");
    const other = new RawPeer(server.sockAddr);
    await other.greet();
    other.close();
    expect(device.calls.some((call) => call.startsWith("write") || call.startsWith("reset"))).toBe(false);
    open();
    for (let i = 0; i < 3; i++) replies.push((await peer.receive())?.header.id ?? -1);
    expect(replies).toEqual([1, 2, 3]);
    expect(device.calls.slice(-3).map((call) => call.split(" ")[0])).toEqual(["map", "write", "reset"]);
  });
});

describe("an error", () => {
  test.each<[string, string, number, Uint8Array]>([
    ["test_device_quiesce_error, test_device_quiesce_error_after_busy: DMA_MAP", "dmaMap", COMMAND.DMA_MAP, MAP],
    ["DMA_UNMAP", "dmaUnmap", COMMAND.DMA_UNMAP, UNMAP],
    ["DEVICE_RESET", "reset", COMMAND.DEVICE_RESET, new Uint8Array(0)],
    ["a device state", "setState", COMMAND.DEVICE_FEATURE, STOP],
  ])("%s: at once or after a wait, it is the reply's", async (_case, name, command, body) => {
    if (command === COMMAND.DMA_UNMAP) await peer.errno(COMMAND.DMA_MAP, MAP);
    hold(name, () => {
      throw refusal(ENOTTY, "for the test");
    });
    expect(await peer.errno(command, body)).toBe(ENOTTY);
    const { promise, open } = gate();
    let entered = false;
    hold(name, () => {
      entered = true;
      return promise.then(() => {
        throw refusal(ENOTTY, "for the test");
      });
    });
    const errno = peer.errno(command, body);
    await until(() => entered, name);
    open();
    expect(await errno).toBe(ENOTTY);
    hold(name, undefined);
    // Nothing has happened: the region is not there, or still there; the device runs.
    if (command === COMMAND.DMA_MAP) expect(await peer.errno(COMMAND.DMA_UNMAP, UNMAP)).toBe(ENOENT);
    if (command === COMMAND.DMA_UNMAP) expect(await peer.errno(COMMAND.DMA_UNMAP, UNMAP)).toBe(0);
    if (name === "setState") expect(device.path).toEqual([]);
  });
});

describe("the peer vanishes meanwhile", () => {
  test.each<[string, string, number, Uint8Array]>([
    ["test_dma_map_busy_reply_fail: DMA_MAP", "dmaMap", COMMAND.DMA_MAP, MAP],
    ["DMA_UNMAP", "dmaUnmap", COMMAND.DMA_UNMAP, UNMAP],
    ["DEVICE_RESET", "reset", COMMAND.DEVICE_RESET, new Uint8Array(0)],
    ["a device state", "setState", COMMAND.DEVICE_FEATURE, STOP],
  ])(
    "%s: the callback comes to its end, then all is undone, then the device is reset",
    async (_c, name, number, body) => {
      if (number === COMMAND.DMA_UNMAP) await peer.errno(COMMAND.DMA_MAP, MAP);
      const { promise, open } = gate();
      let entered = false;
      hold(name, () => {
        hold(name, undefined);
        entered = true;
        return promise;
      });
      await peer.send(frame(1, number, body));
      await peer.send(frame(2, COMMAND.DMA_MAP, fields(32, 3, 0n, 0x80000n, 0x1000n)));
      await until(() => entered, name);
      peer.close();
      await until(() => server.client === null, "the end of the client");
      expect(device.calls).not.toContain("reset disconnect");
      device.take();
      open();
      await until(() => device.calls.includes("disconnected"), "the clean-up");
      const after = device.take();
      expect(after.filter((call) => call.startsWith("map"))).toEqual([]);
      expect(after.slice(-2)).toEqual(["reset disconnect", "disconnected"]);
      // What was mapped after all is unmapped again.
      if (number === COMMAND.DMA_MAP) expect(after).toContain("unmap all");
      peer = new RawPeer(server.sockAddr);
      await peer.greet();
      expect(await peer.errno(COMMAND.DMA_UNMAP, UNMAP)).toBe(ENOENT);
    },
  );
});

function frame(id: number, command: number, body: Uint8Array): Uint8Array {
  return concat(fields(id | (command << 16), 16 + body.length, 0, 0), body);
}
