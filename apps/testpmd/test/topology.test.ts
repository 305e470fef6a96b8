// Which port feeds which, how streams are spread over lcores, and the headers of made packets.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HEAD_BYTES, makeHead } from "../src/control/head.ts";
import { planStreams, sharing, spread } from "../src/control/topology.ts";

const routes = (ports: number[], topology: "paired" | "chained" | "loop") =>
  planStreams("io", ports, 1, 1, topology).map(({ rxPort, txPort }) => `${rxPort}>${txPort}`);

describe("topology", () => {
  it("pairs, chains and loops ports as testpmd does; a single one loops", () => {
    expect(routes([0, 1, 2, 3], "paired")).toEqual(["0>1", "1>0", "2>3", "3>2"]);
    expect(routes([0, 1, 2], "paired")).toEqual(["0>1", "1>0", "2>2"]);
    expect(routes([5], "paired")).toEqual(["5>5"]);
    expect(routes([0, 2, 5], "chained")).toEqual(["0>2", "2>5", "5>0"]);
    expect(routes([0, 1], "loop")).toEqual(["0>0", "1>1"]);
  });

  it("gives each queue a stream of each port, as many as both directions have", () => {
    const of = (mode: "io" | "rxonly" | "txonly" | "icmpecho", rxq: number, txq: number) =>
      planStreams(mode, [0, 1], rxq, txq, "paired");
    expect(of("io", 4, 2).map((s) => s.rxQueue)).toEqual([0, 0, 1, 1]);
    expect(of("rxonly", 2, 0).length).toBe(4);
    expect(of("txonly", 0, 3).length).toBe(6);
    expect(of("icmpecho", 1, 1)).toEqual([
      { rxPort: 0, rxQueue: 0, txPort: 0, txQueue: 0, copies: [] },
      { rxPort: 1, rxQueue: 0, txPort: 1, txQueue: 0, copies: [] },
    ]);
  });

  it("never gives a transmit queue to two streams", () => {
    const ports = fc.uniqueArray(fc.nat(31), { minLength: 1 });
    const topology = fc.constantFrom("paired", "chained", "loop") as fc.Arbitrary<"paired">;
    fc.assert(
      fc.property(ports, topology, fc.integer({ min: 1, max: 4 }), (ids, kind, queues) => {
        const targets = planStreams("io", ids, queues, queues, kind).map((s) => `${s.txPort}/${s.txQueue}`);
        expect(new Set(targets).size).toBe(ids.length * queues);
      }),
    );
  });

  it("floods to all other ports, and to a mirror once", () => {
    const of = (mode: "io" | "flood", mirror: [number, number][]) =>
      planStreams(mode, [0, 1, 2], 1, 1, "chained", new Map(mirror)).map(({ txPort, copies }) => [txPort, ...copies]);
    const others = [[1, 2], [0, 2], [0, 1]]; // biome-ignore format: a row
    expect(of("flood", [])).toEqual(others);
    expect(of("flood", [[0, 2], [1, 7]])).toEqual([[1, 2], [0, 2, 7], [0, 1]]); // biome-ignore format: a row
    expect(of("io", [[0, 1], [1, 0]])).toEqual([[1], [2, 0], [0]]); // biome-ignore format: a row
  });

  it("keeps streams that share a transmit queue on one lcore, and no others", () => {
    const map = (pairs: [number, number][]) => new Map(pairs.filter(([from, to]) => from !== to));
    const mirrors = fc.array(fc.tuple(fc.nat(7), fc.nat(9)), { maxLength: 3 }).map(map);
    const ports = fc.uniqueArray(fc.nat(7), { minLength: 2 });
    fc.assert(
      fc.property(fc.constantFrom("io" as const, "flood" as const), ports, mirrors, (mode, ids, kinds) => {
        const plans = planStreams(mode, ids, 2, 2, "paired", kinds);
        const groups = sharing(plans);
        expect(groups.flat().length).toBe(plans.length);
        expect(new Set(groups.flat())).toEqual(new Set(plans));
        const queuesOf = (group: typeof plans) =>
          new Set(group.flatMap((s) => [s.txPort, ...s.copies].map((port) => `${port}/${s.txQueue}`)));
        const all = groups.flatMap((group) => [...queuesOf(group)]);
        expect(new Set(all).size).toBe(all.length);
        if (mode === "flood" && ids.length > 2) expect(groups.length).toBe(2);
        else if (kinds.size === 0) expect(groups).toEqual(plans.map((plan) => [plan]));
      }),
    );
  });

  it("spreads evenly, the rest going to the last lcores", () => {
    expect(spread([1, 2, 3, 4, 5], 2)).toEqual([
      [1, 2],
      [3, 4, 5],
    ]);
    expect(spread([1, 2], 8)).toEqual([[1], [2]]);
    expect(spread([], 4)).toEqual([]);
  });
});

describe("made packets", () => {
  it("begin with the headers that DPDK's testpmd sends", () => {
    const head = makeHead(Uint8Array.of(2, 0, 0, 0, 0, 1), Uint8Array.of(2, 0, 0, 0, 0, 2), 64);
    expect(head.length).toBe(HEAD_BYTES);
    // Ethernet, then IPv4 198.18.0.1 > 198.18.0.2 with 50 bytes, checksum by hand, then UDP 9 > 9 with 30 bytes.
    const golden = "020000000001020000000002080045000032000000004011ee93c6120001c61200020009" + "0009001e0000";
    expect(Buffer.from(head).toString("hex")).toBe(golden);
  });
});
