// Guest memory in files of huge pages: which pages the windows have, regions that are neither aligned nor whole, and files for
// which too few pages are free. The first needs three free ones and says so where they are not; the rest runs anywhere.
import { readFileSync } from "node:fs";
import { closeFd, dupFd, getSeals, memfdCreate, SEAL } from "@emudev/linux";
import { afterEach, describe, expect, test } from "vitest";
import type { EmuDevMemTable } from "../src/index.ts";
import { arena, makeTable } from "./support.ts";

const RW = 3;
const tables: EmuDevMemTable[] = [];
const make = (): EmuDevMemTable => {
  const table = makeTable();
  tables.push(table);
  return table;
};
afterEach(async () => {
  for (const table of tables.splice(0)) await table.close();
  expect(arena.windows()).toEqual([]);
});

describe("hugetlb files", () => {
  const ofMeminfo = (name: string): number =>
    Number(new RegExp(`${name}:\\s+(\\d+)`).exec(readFileSync("/proc/meminfo", "utf8"))?.[1] ?? 0);
  const free = ofMeminfo("HugePages_Free");
  const page = 1024 * ofMeminfo("Hugepagesize");
  if (free < 3) console.log(`skipped: guest memory of huge pages, for ${free} of 3 are free (vm.nr_hugepages)`);

  test.skipIf(free < 3)("are mapped with their pages, from any offset and at any length", async () => {
    const table = make();
    const fd = memfdCreate("guest", 3 * page, { hugetlb: true });
    const map = (iova: bigint, first: number, size: number) =>
      table.map({ iova, size: BigInt(size), prot: RW, fd: dupFd(fd), fileOffset: BigInt(first) });
    await map(0n, 4096, 3 * 4096); // neither aligned nor whole
    await map(1n << 32n, page + 12_288, 2 * page - 12_288);
    expect(getSeals(fd) & SEAL.SHRINK).toBe(SEAL.SHRINK);
    const [low, high] = [table.translate(0n, 3 * 4096, RW), table.translate(1n << 32n, 2 * page - 12_288, RW)];
    expect(high - low).toBe(page + 8192);
    arena.u8[high + 2 * page - 12_289] = 5; // the last byte
    expect((arena.base + low - 4096) % page).toBe(0);
    const start = (arena.base + low - 4096).toString(16);
    const rows = readFileSync("/proc/self/smaps", "utf8").split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
    const row = rows.find((text) => new RegExp(`^0*${start}-`).test(text));
    expect(row).toMatch(new RegExp(`KernelPageSize: +${page >> 10} kB`));
    closeFd(fd);
  });

  test("past their end are refused; with too few pages they are not mapped, and no access kills the process", async () => {
    const table = make();
    const bytes = (free + 1) * page;
    const fd = memfdCreate("guest", bytes, { hugetlb: true });
    const past = { iova: 0n, size: 8192n, prot: RW, fd: dupFd(fd), fileOffset: BigInt(bytes) - 4096n };
    await expect(table.map(past)).rejects.toThrow(/ends at 0x[0-9a-f]+ of a file of/);
    await table.map({ iova: 0n, size: BigInt(bytes), prot: RW, fd, fileOffset: 0n });
    expect(table.translate(0n, 16, RW)).toBe(0);
    expect(arena.windows()).toEqual([]);
    expect(await table.read(0n, 16)).toEqual(new Uint8Array(16));
    await expect(table.write(0n, Uint8Array.of(1))).rejects.toMatchObject({ code: "EFAULT" });
  });
});
