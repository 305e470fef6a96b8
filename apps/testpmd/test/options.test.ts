// The command line behind `--`: defaults are DPDK testpmd's, and every refusal names the option and what is allowed.
import { describe, expect, it } from "vitest";
import { appUsage, parseAppArgs } from "../src/options.ts";

const parse = (line: string) => parseAppArgs(line.split(" ").filter(Boolean));

describe("options", () => {
  it("have testpmd's defaults", () => {
    const options = parse("");
    expect(options).toMatchObject({ interactive: false, autoStart: false, txFirst: 0, statsPeriod: 0 });
    expect(options.config).toMatchObject({
      mode: "io",
      burst: 32,
      rxq: 1,
      txq: 1,
      rxd: 0,
      txd: 0,
      txpkts: [64],
      nbCores: 1,
      portlist: null,
      topology: "paired",
      mbufSize: 2176,
    });
  });

  it("are read in testpmd's forms", () => {
    const options = parse(
      "-ia --stats-period=5 --forward-mode=macswap --nb-cores=2 --rxq=4 --txq 4 --rxd=1024 --txd=512 " +
        "--burst=64 --txpkts=64,128 --portlist=0,2-3 --port-topology=chained --cmdline-file=/x --eth-peer=1,02:00:00:00:00:07",
    );
    expect(options).toMatchObject({ interactive: true, autoStart: true, txFirst: 0, statsPeriod: 5 });
    expect(parse("--tx-first").txFirst).toBe(1);
    expect(options.cmdlineFile).toEqual({ path: "/x", echo: true });
    expect(options.config).toMatchObject({
      mode: "macswap",
      nbCores: 2,
      rxq: 4,
      txd: 512,
      burst: 64,
      txpkts: [64, 128],
    });
    expect(options.config).toMatchObject({ portlist: [0, 2, 3], topology: "chained" });
    expect(options.config.ethPeers.get(1)).toEqual(Uint8Array.of(2, 0, 0, 0, 0, 7));
    expect(parse("--portmask=0x5").config.portlist).toEqual([0, 2]);
    expect(parse("--no-flush-rx --disable-rss").ignored).toEqual(["--no-flush-rx", "--disable-rss"]);
  });

  it("are refused by name", () => {
    const refused: [string, string][] = [
      ["--forward-mode=warp", "--forward-mode warp: expected one of io, mac, macswap, rxonly, txonly, icmpecho"],
      ["--burst=0", "--burst 0: burst must be from 1 to 512"],
      ["--burst=513", "--burst 513"],
      ["--rxq=-1", "--rxq"],
      ["--rxd=5000", "--rxd 5000: expected a number from 0 to 4096"],
      ["--txpkts=41", "the first segment must hold the headers, 42 bytes"],
      ["--txpkts=64,0", "--txpkts 64,0"],
      ["--txpkts=64,4000", "an mbuf has room for 1 to 2048"],
      ["--txpkts=64,,64", "'' is not a number"],
      ["--portlist=0,0", "a port is given twice"],
      ["--portlist=3-1", "'3-1' is not a range of ports"],
      ["--port-topology=ring", "--port-topology ring: expected one of paired, chained, loop"],
      ["--eth-peer=0", "expected N,MAC"],
      ["--nb-cores=0", "--nb-cores 0: expected a number from 1"],
      ["--rxq=1 --rxq=2", "--rxq is given 2 times"],
      ["--frobnicate", "Unknown argument: --frobnicate"],
      ["-i --tx-first", "--tx-first cannot be used with -i"],
      ["stray", "stray"],
    ];
    for (const [line, message] of refused)
      expect(() => parse(line), line).toThrow(
        expect.objectContaining({ code: "USAGE", message: expect.stringContaining(message) }),
      );
  });

  it("are listed by --help", () => {
    expect(parse("--help").help).toBe(true);
    for (const name of ["--interactive", "--tx-first", "--forward-mode", "--port-topology", "--cmdline-file"])
      expect(appUsage()).toContain(name);
    expect(appUsage()).not.toContain("--no-flush-rx");
  });
});
