// Header work of net_avfbe's kernels by itself, over packets in the first-level cache: the Internet checksum, alone and in the
// pass of a copy, CRC-32C and the Toeplitz hash, against C with -O3 -march=native, where the faster of two ways counts. Both
// must compute the same. Nanoseconds a packet.
import { readFileSync } from "node:fs";
import { type Arena, Mempool, mbufFree, mbufFrom } from "@emudev/shm";
import { assertDone, compare, type Effort, type Result, type Variant } from "../measure.ts";
import { loadNative } from "../native.ts";
import { crc32cTables, rssTable } from "./tables.ts";

const PACKETS = 64;
const RUN = 1024;
const STRIDE = 2048 + 64;
const LCORE = 1;

type Kernel = (from: number, to: number, n: number, bytes: number, stride: number, table: number) => number;

const WORK = [
  { name: "sum", baselines: ["words", "wide"], sizes: [20, 64, 256, 1460] },
  { name: "copy_sum", baselines: ["words", "wide"], sizes: [64, 256, 1460] },
  { name: "crc32c", baselines: ["tables", "native"], sizes: [64, 1460] },
] as const;

export const headerBenches = [
  ...WORK.flatMap(({ name, baselines, sizes }) =>
    sizes.map((bytes) => {
      const bench = `header/${name.replace("_", "-")}-${bytes}`;
      return {
        name: bench,
        run: (arena: Arena, effort: Effort) => bytesBench(bench, name, baselines, bytes, arena, effort),
      };
    }),
  ),
  ...(["ipv4", "ipv6"] as const).map((version) => {
    const bench = `header/toeplitz-${version}`;
    return {
      name: bench,
      run: (arena: Arena, effort: Effort) => toeplitzBench(bench, version === "ipv6", arena, effort),
    };
  }),
];

function bytesBench(
  bench: string,
  work: string,
  baselines: readonly string[],
  bytes: number,
  arena: Arena,
  effort: Effort,
): Result[] {
  const { off } = arena.memzoneReserve(bench, 2 * PACKETS * STRIDE);
  for (let i = 0; i < PACKETS * STRIDE; i++) arena.u8[off + i] = (i * 7 + (i >> 8) * 13) & 0xff;
  const table = crc32cTables(arena, `${bench} table`);
  // Behind an Ethernet header, as the bytes of an IP packet lie.
  const result = against(
    bench,
    work,
    baselines,
    [off + 14, off + PACKETS * STRIDE + 14, RUN, bytes, STRIDE, table],
    arena,
    effort,
  );
  arena.memzoneFree(bench);
  arena.memzoneFree(`${bench} table`);
  return [result];
}

function toeplitzBench(bench: string, ipv6: boolean, arena: Arena, effort: Effort): Result[] {
  const pool = Mempool.createPktmbuf(arena, bench, { n: 2 * PACKETS });
  const { off } = arena.memzoneReserve(bench, 4 * PACKETS);
  const table = rssTable(arena, `${bench} table`, 4);
  const mbufs = Array.from({ length: PACKETS }, (_, i) => mbufFrom(pool, LCORE, udp(ipv6, i)));
  arena.u32.set(mbufs, off >>> 2);
  const result = against(bench, "toeplitz", ["tables", "softrss"], [off, 0, RUN, 0, 0, table], arena, effort);
  for (const mbuf of mbufs) mbufFree(arena, LCORE, mbuf);
  for (const zone of [bench, `${bench} table`]) arena.memzoneFree(zone);
  pool.free();
  return [result];
}

/** A UDP packet of 64 bytes or, with IPv6, 84. */
function udp(ipv6: boolean, seed: number): Uint8Array {
  const frame = Uint8Array.from({ length: ipv6 ? 84 : 64 }, (_, i) => (i * 31 + seed * 97) & 255);
  if (ipv6) {
    frame.set([0x86, 0xdd, 0x60], 12);
    frame[20] = 17;
  } else {
    frame.set([0x08, 0x00, 0x45], 12);
    frame.set([0x40, 0x00, 64, 17], 20);
  }
  return frame;
}

function against(
  bench: string,
  work: string,
  names: readonly string[],
  args: Parameters<Kernel>,
  arena: Arena,
  effort: Effort,
): Result {
  const { exports } = new WebAssembly.Instance(kernels, { env: { memory: arena.memory } });
  const kernel = exports[`header_${work}`] as Kernel;
  let got = 0;
  const expected = kernel(...args) >>> 0;
  const check = () => assertDone(`${bench}: result`, got, expected);
  const ours: Variant = {
    name: "kernel",
    check,
    run() {
      got = kernel(...args) >>> 0;
    },
  };
  const native = loadNative("header", ["-march=native"]);
  const baselines = names.flatMap((name): Variant[] => {
    const run = native?.func(`header_${work}_${name}`, args.length);
    if (run === undefined) return [];
    return [
      {
        name: `C ${name}`,
        check,
        run() {
          got = run(arena.base, ...args);
        },
      },
    ];
  });
  return compare(bench, { count: RUN, unit: "packet" }, ours, baselines, effort);
}

const kernels = new WebAssembly.Module(readFileSync(new URL("../kernels.wasm", import.meta.url)));
