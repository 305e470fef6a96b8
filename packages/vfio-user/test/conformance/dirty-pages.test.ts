// libvfio-user's test_dirty_pages, and what test_dma_unmap says of dirty bitmaps, case by case over a socket with its
// errno values. A page counts as written when the device says so, which is libvfio-user's "put".

import { closeFd, memfdCreate } from "@emudev/linux";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { COMMAND, VfioUserClient, VfioUserServer } from "../../src/index.ts";
import { rescale } from "../../src/server/bitmap.ts";
import { choosePageSize, DirtyLog } from "../../src/server/dirty-log.ts";
import { MigratableDevice } from "../migratable.ts";
import { concat, fields, newPath, RawPeer, TestDevice, until } from "../support.ts";

const ENOENT = 2;
const EINVAL = 22;
const ENOTSUP = 95;
const PAGE = 4096;
const GET = 0x10000;
const SET = 0x20000;

let device: MigratableDevice;
let server: VfioUserServer;
let peer: RawPeer;
let memory: number;

beforeEach(async () => {
  device = new MigratableDevice();
  server = new VfioUserServer(newPath(), device);
  server.start();
  peer = new RawPeer(server.sockAddr);
  await peer.greet();
  memory = memfdCreate("pages", 0x40 * PAGE);
  await map(0x10, 0x20, memory);
  await map(0x40, 0x10);
  await map(0x60, 0x20, memory);
});

afterEach(async () => {
  peer.close();
  closeFd(memory);
  await until(() => server.client === null, "the end of the client");
  await server.stop();
});

async function map(page: number, pages: number, fd?: number): Promise<void> {
  const body = fields(32, 3, 0n, BigInt(page * PAGE), BigInt(pages * PAGE));
  expect(await peer.errno(COMMAND.DMA_MAP, body, fd === undefined ? {} : { fds: [fd] })).toBe(0);
}

const start = (pageSize = PAGE, ...ranges: bigint[]): Promise<number> =>
  peer.errno(
    COMMAND.DEVICE_FEATURE,
    fields(24 + ranges.length * 8, SET | 6, BigInt(pageSize), ranges.length / 2, 0, ...ranges),
  );
const stop = (): Promise<number> => peer.errno(COMMAND.DEVICE_FEATURE, fields(24, SET | 7, BigInt(PAGE), 0, 0));

function reportRequest(iova: bigint, size: bigint, pageSize: number, argsz = 8 + 24 + 8): Uint8Array {
  return fields(argsz, GET | 8, iova, size, BigInt(pageSize));
}

/** The bitmap of the region of 0x20 pages at page 0x10, as a number. */
async function bitmap(pageSize = PAGE): Promise<bigint> {
  const [iova, size] = [BigInt(0x10 * PAGE), BigInt(0x20 * PAGE)];
  const { body, view, header } = await peer.ask(COMMAND.DEVICE_FEATURE, reportRequest(iova, size, pageSize));
  expect(header.error).toBe(0);
  expect(body.subarray(0, 32)).toEqual(reportRequest(iova, size, pageSize));
  expect(body.length).toBe(40);
  return view.getBigUint64(32, true);
}

/** As if the device had written these pages of the first region. */
const write = (page: number, pages = 1): void => device.pages.mark(BigInt(page * PAGE), pages * PAGE);
const errnoOfReport = (iova: bigint, size: bigint, pageSize = PAGE): Promise<number> =>
  peer.errno(COMMAND.DEVICE_FEATURE, reportRequest(iova, size, pageSize));

describe("a report about much memory", () => {
  test("leaves the event loop its turns between the pieces that the device is asked about", async () => {
    const order: string[] = [];
    const log = new DirtyLog({
      pageSizes: BigInt(PAGE),
      start() {},
      stop() {},
      report: () => {
        order.push("piece");
      },
    });
    await log.start({ pageSize: BigInt(PAGE), ranges: [] });
    setImmediate(() => order.push("turn"));
    await log.report({ iova: 0n, size: 6n << 30n, pageSize: 1n << 21n });
    expect(order).toEqual(["piece", "turn", "piece", "piece"]);
  });
});

describe("start and stop", () => {
  test("test_dirty_pages_start_zero_pgsize", async () => {
    expect(await start(0)).toBe(EINVAL);
    expect(await start(PAGE + 1)).toBe(EINVAL);
  });

  test("test_dirty_pages_start: once more is no fault, and forgets nothing", async () => {
    expect(await start()).toBe(0);
    write(0x11);
    expect(await start()).toBe(0);
    expect(await bitmap()).toBe(0b10n);
  });

  test("test_dirty_pages_start_different_pgsize", async () => {
    await start();
    expect(await start(PAGE / 2)).toBe(EINVAL);
    expect(await start(PAGE * 2)).toBe(EINVAL);
  });

  test("test_dirty_pages_stop: also twice, and what was noted is gone", async () => {
    await start();
    write(0x11);
    expect(await stop()).toBe(0);
    expect(await stop()).toBe(0);
    expect(await errnoOfReport(BigInt(0x10 * PAGE), BigInt(0x20 * PAGE))).toBe(EINVAL);
    await start();
    expect(await bitmap()).toBe(0n);
  });

  test("a size that the device has not becomes the one that it has, and the reply says so", async () => {
    const { view } = await peer.ask(COMMAND.DEVICE_FEATURE, fields(24, SET | 6, 65536n, 0, 0));
    expect(view.getBigUint64(8, true)).toBe(4096n);
    expect(await start(65536)).toBe(0);
    expect(choosePageSize(0x201000n, 65536n)).toBe(4096);
    expect(choosePageSize(0x201000n, 4n << 20n)).toBe(2 << 20);
    expect(choosePageSize(0x201000n, 1024n)).toBe(4096);
  });

  test("ranges: whole pages that do not overlap; writes elsewhere are not noted", async () => {
    const page = (n: number): bigint => BigInt(n * PAGE);
    expect(await start(PAGE, page(0x10) + 1n, page(1))).toBe(EINVAL);
    expect(await start(PAGE, page(0x10), page(1) - 1n)).toBe(EINVAL);
    expect(await start(PAGE, page(0x10), 0n)).toBe(EINVAL);
    expect(await start(PAGE, page(0x10), page(2), page(0x11), page(2))).toBe(EINVAL);
    expect(await start(PAGE, (1n << 64n) - page(1), page(2))).toBe(EINVAL);
    expect(await peer.errno(COMMAND.DEVICE_FEATURE, fields(24, SET | 6, 4096n, 1, 0))).toBe(EINVAL);
    expect(await peer.errno(COMMAND.DEVICE_FEATURE, fields(24, SET | 6, 4096n, 0x7fffffff, 0))).toBe(EINVAL);
    expect(await start(PAGE, page(0x14), page(2), page(0x10), page(1))).toBe(0);
    write(0x10, 0x20);
    expect(await bitmap()).toBe(0b110001n);
  });

  test("a client that leaves takes its log along", async () => {
    await start();
    write(0x10);
    peer.close();
    await until(() => device.calls.includes("disconnected"), "the clean-up");
    peer = new RawPeer(server.sockAddr);
    await peer.greet();
    await map(0x10, 0x20, memory);
    expect(await errnoOfReport(BigInt(0x10 * PAGE), BigInt(0x20 * PAGE))).toBe(EINVAL);
    expect(await start(PAGE)).toBe(0);
    expect(await bitmap()).toBe(0n);
  });

  test("test_dirty_pages_uninitialised_dma: a device without a log", async () => {
    const plain = new VfioUserServer(newPath(), new TestDevice());
    plain.start();
    const other = new RawPeer(plain.sockAddr);
    await other.greet();
    expect(await other.errno(COMMAND.DEVICE_FEATURE, fields(24, SET | 6, 4096n, 0, 0))).toBe(EINVAL);
    expect(await other.errno(COMMAND.DEVICE_FEATURE, reportRequest(0n, 4096n, PAGE))).toBe(EINVAL);
    other.close();
    await plain.stop();
  });
});

describe("report", () => {
  beforeEach(async () => {
    expect(await start()).toBe(0);
  });

  test("test_dirty_pages_get_unmodified", async () => {
    expect(await bitmap()).toBe(0n);
  });

  test("test_dirty_pages_get_modified: written pages once, bits across bytes", async () => {
    write(0x10);
    write(0x16, 4);
    expect(await bitmap()).toBe(0b1111000001n);
    expect(await bitmap()).toBe(0n);
  });

  test("test_dirty_pages_get_modified: other page sizes", async () => {
    const again = (): void => {
      write(0x10);
      write(0x16, 4);
    };
    again();
    expect(await bitmap(PAGE / 2)).toBe(0b11111111000000000011n);
    again();
    expect(await bitmap(PAGE * 2)).toBe(0b11001n);
    again();
    expect(await bitmap(PAGE << 4)).toBe(1n);
    expect(await bitmap(PAGE << 4)).toBe(0n);
  });

  test.each<[string, [number, number][], bigint]>([
    ["very first bit", [[0x10, 1]], 0b1n],
    ["top bit of the first byte", [[0x17, 1]], 0b10000000n],
    ["all but the top bit of the first byte", [[0x10, 7]], 0b1111111n],
    ["all of the first byte", [[0x10, 8]], 0b11111111n],
    ["the first byte and one bit", [[0x10, 9]], 0b111111111n],
    ["across two bytes", [[0x17, 2]], 0b110000000n],
    ["top bit of the second byte", [[0x1f, 1]], 1n << 15n],
    ["top bit of the third byte", [[0x27, 1]], 1n << 23n],
    [
      "bits in the third and the first byte",
      [
        [0x26, 1],
        [0x12, 2],
      ],
      (1n << 22n) | 0b1100n,
    ],
  ])("test_dirty_pages_get_modified: %s", async (_name, writes, bits) => {
    for (const [page, pages] of writes) write(page, pages);
    expect(await bitmap()).toBe(bits);
  });

  test("test_dirty_pages_invalid_arguments", async () => {
    const [iova, size] = [BigInt(0x10 * PAGE), BigInt(0x20 * PAGE)];
    expect(await errnoOfReport(0xdeadbeefn, size)).toBe(ENOENT);
    expect(await errnoOfReport(iova + 1n, size - 1n)).toBe(ENOTSUP);
    expect(await errnoOfReport(iova, size + BigInt(PAGE))).toBe(ENOTSUP);
    expect(await errnoOfReport(iova, size, 1 << 24)).toBe(EINVAL);
    expect(await errnoOfReport(iova, size, 0)).toBe(EINVAL);
    expect(await errnoOfReport(iova, size, 3000)).toBe(EINVAL);
    // The region without an fd: its writes go through the client.
    expect(await errnoOfReport(BigInt(0x40 * PAGE), BigInt(0x10 * PAGE))).toBe(EINVAL);
    expect(await errnoOfReport(iova, 1n << 60n, 1)).toBe(EINVAL);
  });

  test("whole pages of a region can be asked about, and are forgotten alone", async () => {
    write(0x11, 2);
    const part = reportRequest(BigInt(0x12 * PAGE), BigInt(PAGE), PAGE);
    const { view } = await peer.ask(COMMAND.DEVICE_FEATURE, part);
    expect(view.getBigUint64(32, true)).toBe(1n);
    expect(await bitmap()).toBe(0b10n);
  });

  test("our client's methods", async () => {
    peer.close();
    await until(() => device.calls.includes("disconnected"), "the clean-up");
    const client = await VfioUserClient.connect(server.sockAddr);
    const size = BigInt(0x20 * PAGE);
    await client.dmaMap({ iova: 0n, size, prot: 3, fd: memory });
    expect(await client.dirtyLogStart([{ iova: 0n, size }], PAGE)).toBe(PAGE);
    device.pages.mark(5n * 4096n + 4095n, 2);
    expect(await client.dirtyLogReport(0n, size, PAGE)).toEqual(Uint8Array.of(0b1100000, 0, 0, 0, 0, 0, 0, 0));
    await client.dirtyLogStop();
    await expect(client.dirtyLogReport(0n, size, PAGE)).rejects.toMatchObject({ errno: EINVAL });
    client.close();
    peer = new RawPeer(server.sockAddr);
  });
});

describe("DMA_UNMAP with GET_DIRTY_BITMAP", () => {
  const unmap = (page: number, pages: number, argsz: number, ...bitmap: bigint[]): Uint8Array =>
    concat(fields(argsz, 1, BigInt(page * PAGE), BigInt(pages * PAGE)), fields(...bitmap));

  test("test_dma_unmap_dirty_bad_argsz", async () => {
    await start();
    expect(await peer.errno(COMMAND.DMA_UNMAP, unmap(0x10, 0x20, 40, 4096n, (1n << 64n) - 1n - 32n))).toBe(EINVAL);
    expect(await peer.errno(COMMAND.DMA_UNMAP, unmap(0x10, 0x20, 40, 4096n, 8n))).toBe(EINVAL);
    expect(await peer.errno(COMMAND.DMA_UNMAP, unmap(0x10, 0x20, 48, 4096n))).toBe(EINVAL);
  });

  test("test_dma_unmap_dirty_not_tracking", async () => {
    expect(await peer.errno(COMMAND.DMA_UNMAP, unmap(0x10, 0x20, 48, 4096n, 8n))).toBe(EINVAL);
    expect(device.calls.filter((call) => call.startsWith("unmap"))).toEqual([]);
  });

  test("the reply has what was written before the region was let go of", async () => {
    await start();
    write(0x11);
    device.hold.dmaUnmap = () => write(0x13);
    const { body } = await peer.ask(COMMAND.DMA_UNMAP, unmap(0x10, 0x20, 48, 4096n, 8n));
    expect(body).toEqual(concat(unmap(0x10, 0x20, 48, 4096n, 8n), fields(0b1010n)));
    expect(await peer.errno(COMMAND.DMA_UNMAP, unmap(0x10, 0x20, 48, 4096n, 8n))).toBe(ENOENT);
  });
});

test("a rescaled bitmap has exactly the pages that touch a written one", () => {
  const log2 = fc.integer({ min: 9, max: 16 });
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 12 }), log2, log2, (from, fromLog, toLog) => {
      const [fromSize, toSize] = [2 ** fromLog, 2 ** toLog];
      const bytes = from.length * 8 * fromSize;
      const pages = Math.ceil(bytes / toSize);
      const into = new Uint8Array(Math.ceil(pages / 8));
      rescale(from, fromSize, 0, into, toSize, pages);
      const touched = new Set<number>();
      for (let bit = 0; bit < from.length * 8; bit++) {
        if ((((from[bit >>> 3] as number) >>> (bit & 7)) & 1) === 0) continue;
        for (let at = bit * fromSize; at < (bit + 1) * fromSize; at += 512) touched.add(Math.floor(at / toSize));
      }
      const set = Array.from({ length: into.length * 8 }, (_, page) => page).filter(
        (page) => ((into[page >>> 3] as number) >>> (page & 7)) & 1,
      );
      expect(set).toEqual([...touched].sort((a, b) => a - b));
    }),
    { numRuns: 200 },
  );
});
