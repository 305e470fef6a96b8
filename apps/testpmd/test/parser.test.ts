// The console's commands: the table matches what users of testpmd type, explains what it does not, and completes by Tab.
import { describe, expect, it } from "vitest";
import { PARSER, SECTIONS } from "../src/commands/index.ts";

const world = {
  portIds: () => [0, 1],
  files: (prefix: string) => ["a.txt", "b/"].filter((name) => name.startsWith(prefix)),
  sections: () => ["control", "display"],
};
const syntax = (line: string) => PARSER.parse(line)?.command.syntax;
const complete = (line: string) => PARSER.complete(line, world)[0];

describe("parser", () => {
  it("finds every command that the issue and DPDK's guide name", () => {
    const lines = `help
      help display
      start
      start tx_first
      start tx_first 4
      stop
      quit
      load /tmp/commands.txt
      show port info all
      show port stats 0
      show port xstats 1
      show port summary all
      show fwd stats all
      show config fwd
      show config rxtx
      show config cores
      clear port stats all
      clear port xstats 0
      clear fwd stats all
      set fwd macswap
      set fwd io retry
      set burst 64
      set txpkts 64,128
      set promisc all on
      set allmulti 0 off
      set verbose 1
      set nbcore 2
      set portlist 0,1
      set eth-peer 0 02:00:00:00:00:09
      set log lib.eal debug
      port start all
      port stop 0
      port close 1
      port attach net_null2, size=64
      port detach 1
      port config all rxq 2
      port config mtu 0 9000
      mac_addr set 0 02:00:00:00:00:09
      vlan set strip on 0
      rx_vlan add 5 0`;
    for (const line of lines.split("\n")) expect(syntax(line), line).toBeTypeOf("string");
  });

  it("gives typed arguments", () => {
    expect(PARSER.parse("set txpkts 64,128")?.args.bytes).toEqual([64, 128]);
    expect(PARSER.parse("set promisc all on")?.args).toMatchObject({ port: "all", onoff: true });
    expect(PARSER.parse("show port stats 1")?.args).toMatchObject({ what: "stats", port: 1 });
    expect(PARSER.parse("start tx_first")?.args.bursts).toBeUndefined();
    expect(PARSER.parse("start tx_first 9")?.args.bursts).toBe(9);
    expect(PARSER.parse("port attach net_ring0, a=1, b=2")?.args.devargs).toBe("net_ring0, a=1, b=2");
    expect(PARSER.parse("set fwd io retry")?.args.retry).toBe("retry");
    expect(PARSER.parse("set eth-peer 1 2:0:0:0:0:1")?.args.mac).toEqual(Uint8Array.of(2, 0, 0, 0, 0, 1));
  });

  it("passes over empty lines and comments", () => {
    for (const line of ["", "   ", "# start", "\t"]) expect(PARSER.parse(line)).toBeNull();
  });

  it("explains what it does not understand", () => {
    expect(() => PARSER.parse("strat")).toThrow("Command not found: strat");
    expect(() => PARSER.parse("set fwd")).toThrow("the line is not complete, expected one of io, mac");
    expect(() => PARSER.parse("set fwd warp")).toThrow(
      /at 'warp', expected one of io, mac.*; usage:\n {2}set fwd <mode> \[retry\]/,
    );
    expect(() => PARSER.parse("show port stats x")).toThrow("at 'x'");
    expect(() => PARSER.parse("start now")).toThrow("at 'now', expected the end of the line or 'tx_first'");
    expect(() => PARSER.parse("set burst -1")).toThrow("at '-1'");
    expect(() => PARSER.parse("set burst 1e3")).toThrow("at '1e3'");
  });

  it("completes words, choices, modes, ports and files", () => {
    expect(complete("sta")).toEqual(["start "]);
    expect(complete("st")).toEqual(["start", "stop"]);
    expect(complete("show ")).toEqual(expect.arrayContaining(["port", "fwd", "config", "lcore", "device"]));
    expect(complete("show port x")).toEqual(["xstats "]);
    expect(complete("show port stats ")).toEqual(["0", "1", "all"]);
    expect(complete("set fwd mac")).toEqual(["mac", "macswap"]);
    expect(complete("set fwd io ")).toEqual(["retry "]);
    expect(complete("set promisc 0 o")).toEqual(["on", "off"]);
    expect(complete("load a")).toEqual(["a.txt "]);
    expect(complete("load b")).toEqual(["b/"]);
    expect(complete("help d")).toEqual(["display "]);
    expect(complete("bogus ")).toEqual([]);
    expect(complete("")).toContain("quit");
  });

  it("has one help line for each syntax, and no syntax twice", () => {
    const all = SECTIONS.flatMap((section) => section.commands);
    expect(new Set(all.map((command) => command.syntax)).size).toBe(all.length);
    for (const { help } of all) expect(help).not.toBe("");
  });
});
