// The command line: lcore lists after DPDK's grammar, options accepted, refused and ignored, devargs and their schemas.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  checkDevargs,
  type DevargsSchema,
  EalError,
  ealUsage,
  formatSet,
  parseCoremask,
  parseDevargs,
  parseEalArgs,
  parseLcores,
  parseLogRule,
} from "../src/index.ts";

const lcores = (text: string) => Object.fromEntries(parseLcores(text).map(({ id, cpus }) => [id, cpus]));

describe("lcore lists", () => {
  it("reads the forms of DPDK's --lcores", () => {
    expect(lcores("0-2")).toEqual({ 0: [0], 1: [1], 2: [2] });
    expect(lcores("0,3")).toEqual({ 0: [0], 3: [3] });
    expect(lcores("0@0,1@0,2@1")).toEqual({ 0: [0], 1: [0], 2: [1] });
    expect(lcores("(0-1)@0")).toEqual({ 0: [0], 1: [0] });
    expect(lcores("1@(4-6,8)")).toEqual({ 1: [4, 5, 6, 8] });
    expect(lcores("1,2@(5-7),(3-5)@(0,2),(0,6),7-8")).toEqual({
      0: [0, 6],
      1: [1],
      2: [5, 6, 7],
      3: [0, 2],
      4: [0, 2],
      5: [0, 2],
      6: [0, 6],
      7: [7],
      8: [8],
    });
  });

  it("refuses what it cannot read, and says what", () => {
    for (const text of ["", "x", "1-", "3-1", "(0-1", "0)", "((0))", "0@", "0,,1", "200", "-1"])
      expect(() => parseLcores(text), text).toThrow(EalError);
    expect(() => parseLcores("0,0@1")).toThrow("lcore 0 is given twice");
  });

  it("writes what it reads", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(127), { minLength: 1 }), (ids) => {
        expect(parseLcores(formatSet(ids)).map(({ id }) => id)).toEqual(ids.sort((a, b) => a - b));
      }),
    );
  });

  it("reads hexadecimal masks", () => {
    expect(parseCoremask("0x5").map(({ id }) => id)).toEqual([0, 2]);
    expect(parseCoremask("ff").length).toBe(8);
    for (const text of ["", "0x", "g", "0"]) expect(() => parseCoremask(text)).toThrow(EalError);
  });
});

describe("EAL options", () => {
  const parse = (line: string, cpus = [0, 1, 2, 3]) =>
    parseEalArgs(line.split(" ").filter(Boolean), cpus, "app", "1.2");

  it("takes every CPU of the affinity mask by default, the first as main lcore", () => {
    const { options, appArgs } = parse("", [2, 3]);
    expect(options.lcores).toEqual([
      { id: 2, cpus: [2] },
      { id: 3, cpus: [3] },
    ]);
    expect(options.mainLcore).toBe(2);
    expect(options.filePrefix).toBe("rte");
    expect(appArgs).toEqual([]);
  });

  it("ends at --, and leaves the rest alone", () => {
    const { options, appArgs } = parse("-l 0,1 --vdev=net_null0 --vdev net_ring0,x=1 -- -i --vdev=mine --help");
    expect(options.vdevs).toEqual(["net_null0", "net_ring0,x=1"]);
    expect(appArgs).toEqual(["-i", "--vdev=mine", "--help"]);
  });

  it("reads short options with and without a blank", () => {
    expect(parse("-l0,1 -m64 -n4").options).toMatchObject({ ownBytes: 64 * 2 ** 20, lcores: [{ id: 0 }, { id: 1 }] });
    expect(parse("-c 0x3").options.lcores.length).toBe(2);
    expect(parse("--lcores=(0-2)@1 --main-lcore=2").options).toMatchObject({ mainLcore: 2 });
  });

  it("says which core does not exist", () => {
    expect(() => parse("-l 0,7")).toThrow(/lcore 7: CPU 7 does not exist.*may use 0-3/);
    expect(() => parse("--lcores 0@0,1@(3-5)")).toThrow(/lcore 1: CPU 4-5 does not exist/);
    expect(() => parse("-l 0,1 --main-lcore 3")).toThrow(/--main-lcore 3: not one of the lcores 0-1/);
  });

  it("ignores with a notice what DPDK users type by habit, and refuses the rest with a reason", () => {
    expect(parse("--no-pci -n 4 --proc-type primary --no-telemetry").options).toMatchObject({
      telemetry: false,
      ignored: [{ option: "--no-pci" }, { option: "--memory-channels" }],
    });
    expect(() => parse("--huge-dir /mnt/huge")).toThrow(/memfd, which takes huge pages/);
    expect(() => parse("-a 0000:00:01.0")).toThrow(/--allow is not supported: there are no PCI devices; use --vdev/);
    expect(() => parse("--proc-type secondary")).toThrow(/only primary/);
    expect(() => parse("--frobnicate")).toThrow(/Unknown argument.*frobnicate.*after --/);
    expect(() => parse("stray")).toThrow(EalError);
    expect(() => parse("--vdev")).toThrow(EalError);
    expect(() => parse("-m 5000")).toThrow(/-m 5000/);
    expect(() => parse("-l 0 -l 1")).toThrow(/given 2 times/);
    expect(() => parse("--file-prefix ../x")).toThrow(/file-prefix/);
  });

  it("answers --help and --version by an error of that code whose message is the text", () => {
    expect(() => parse("--version")).toThrow(expect.objectContaining({ code: "VERSION", message: "app 1.2" }));
    expect(() => parse("--help")).toThrow(expect.objectContaining({ code: "HELP" }));
    expect(ealUsage("app")).toMatch(/--lcores[\s\S]*--vdev[\s\S]*--log-level/);
    expect(ealUsage("app")).not.toMatch(/huge-dir|no-pci/);
  });

  it("reads log levels by name, number and pattern", () => {
    expect(parseLogRule("debug")).toEqual({ pattern: "*", level: 8 });
    expect(parseLogRule("lib.eal:7")).toEqual({ pattern: "lib.eal", level: 7 });
    expect(parseLogRule("pmd.net.*:warn")).toEqual({ pattern: "pmd.net.*", level: 5 });
    expect(parse("--log-level=debug --log-level=lib.eal:error").options.logRules.length).toBe(2);
    for (const text of ["", "loud", "lib.eal:", "9"]) expect(() => parseLogRule(text)).toThrow(/levels are 1 to 8/);
  });
});

describe("devargs", () => {
  const schema = {
    path: { type: "path", required: true },
    id: { type: "uint", max: 63, default: 0 },
    mac: { type: "mac", unicast: true },
    doorbell: { type: "choice", choices: ["mem", "fd"], default: "mem" },
    quiet: { type: "bool", default: false },
  } as const satisfies DevargsSchema;
  const check = (text: string) => checkDevargs(parseDevargs(text), schema);

  it("takes a name and keys apart, blanks around commas tolerated", () => {
    const devargs = parseDevargs("emu_iavf0, path=/tmp/s=1.sock, id=0");
    expect(devargs).toMatchObject({ driver: "emu_iavf", name: "emu_iavf0" });
    expect([...devargs.args]).toEqual([
      ["path", "/tmp/s=1.sock"],
      ["id", "0"],
    ]);
    expect(parseDevargs("net_x1,list=[a,b],flag").args.get("list")).toBe("[a,b]");
    for (const text of ["", "0net", "net null", "net_null0,=1", "net_null0,a=1,a=2", "net_null0,,"])
      expect(() => parseDevargs(text), text).toThrow(EalError);
  });

  it("gives typed values and defaults", () => {
    const values = check("emu_iavf0,path=/x,id=0x3f,mac=02:0:0:0:0:1,quiet");
    expect(values).toEqual({
      path: "/x",
      id: 63,
      mac: Uint8Array.of(2, 0, 0, 0, 0, 1),
      doorbell: "mem",
      quiet: true,
    });
    const id: number = values.id;
    expect(id).toBe(63);
  });

  it("takes permissions in octal, users and groups by name or number", () => {
    const access = { mode: { type: "mode" }, uid: { type: "user" }, gid: { type: "group" } } as const;
    const values = checkDevargs(parseDevargs("e0,mode=0660,uid=root,gid=12"), access);
    expect(values).toEqual({ mode: 0o660, uid: 0, gid: 12 });
    for (const wrong of ["mode=888", "mode=7777", "uid=no-such-user", "gid=-1", "uid=4294967295"])
      expect(() => checkDevargs(parseDevargs(`e0,${wrong}`), access), wrong).toThrow(EalError);
  });

  it("names the key and what is allowed", () => {
    expect(() => check("e0,path=/x,nope=1")).toThrow("unknown key 'nope'; allowed are path, id, mac, doorbell, quiet");
    expect(() => check("e0")).toThrow("'path=' is missing");
    expect(() => check("e0,path=")).toThrow("expected a path");
    expect(() => check("e0,path=/x,id=64")).toThrow("'id=64' is wrong; expected a number from 0 to 63");
    for (const id of ["-1", "1.5", "1e3", "", " ", "NaN", "0x"])
      expect(() => check(`e0,path=/x,id=${id}`), id).toThrow(EalError);
    expect(() => check("e0,path=/x,mac=01:00:00:00:00:00")).toThrow("expected a unicast address");
    expect(() => check("e0,path=/x,mac=1:2:3")).toThrow("six bytes");
    expect(() => check("e0,path=/x,doorbell=io")).toThrow("one of mem, fd");
    expect(() => check("e0,path=/x,quiet=maybe")).toThrow("0 or 1");
    expect(() => check("e0,path=/x,__proto__=1")).toThrow("unknown key '__proto__'");
  });
});
