// testpmd from end to end, as a child process driven by its standard input, on ports that loop back (loop-driver.mjs).
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { LOOP, Program, runScript, THREE_LCORES, TWO_LCORES } from "./program.ts";

const folder = `/tmp/testpmd/test-${process.pid}`;
const programs: Program[] = [];
const HAS_SCRIPT = existsSync("/usr/bin/script");
if (!HAS_SCRIPT) console.log("skipped: the console on a terminal, because util-linux's script is not installed");
const PROMPT = /testpmd> $/;
const EAL = ["--in-memory", "-m", "128", ...TWO_LCORES];

function start(eal: readonly string[], app: readonly string[]): Program {
  const program = new Program(LOOP, [...eal, "--", ...app]);
  programs.push(program);
  return program;
}

beforeAll(() => mkdirSync(folder, { recursive: true }));
afterEach(() => {
  for (const program of programs.splice(0)) program.kill();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("console", () => {
  it("runs a script on standard input in order and ends with it", async () => {
    const { code, output, errors } = await runScript(
      LOOP,
      [...EAL, "--vdev=net_loop0", "--vdev=net_loop1,link=down", "--", "-i"],
      ["# a comment", "set fwd macswap", "nonsense", "start", "stop", "start", "show port summary all", "stop"],
    );
    expect(errors).toBe("");
    const order = [
      "Configuring Port 0 (socket 0)",
      "Port 0 Link up at 10 Gbps FDX Fixed",
      "Port 1 Link down",
      "Interactive-mode selected",
      "testpmd> set fwd macswap",
      "Set macswap packet forwarding mode",
      "Command not found: nonsense",
      "macswap packet forwarding - ports=2 - cores=1 - streams=2 - NUMA support enabled, MP allocation mode: native",
      "Logical Core 1 (socket 0) forwards packets on 2 streams:",
      "  RX P=0/Q=0 (socket 0) -> TX P=1/Q=0 (socket 0) peer=02:00:00:00:00:01",
      "  macswap packet forwarding packets/burst=32",
      "  nb forwarding cores=1 - nb forwarding ports=2",
      "Telling cores to stop...",
      "---------------------- Forward statistics for port 0  ----------------------",
      "+++++++++++++++ Accumulated forward statistics for all ports+++++++++++++++",
      "Done.",
      "Number of available ports: 2",
      "0    02:00:00:00:01:00 net_loop0    net_loop       up       10 Gbps",
      "1    02:00:00:00:01:01 net_loop1    net_loop       down     None",
      "Stopping port 0...",
      "Shutting down port 1...",
      "Port 1 is closed",
      "Bye...",
    ];
    let at = 0;
    for (const text of order) {
      expect(output.slice(at), `after ${output.slice(Math.max(0, at - 200), at)}`).toContain(text);
      at = output.indexOf(text, at) + text.length;
    }
    expect(code).toBe(0);
  });

  it("forwards what start tx_first sent for ever, and counts it the same way everywhere", async () => {
    const pmd = start([...EAL, "--vdev=net_loop0", "--vdev=net_loop1"], ["-i", "--burst=8"]);
    await pmd.expect(PROMPT);
    await pmd.ask("start tx_first 2", PROMPT);
    let rx = 0;
    while (rx < 100_000) {
      const text = await pmd.ask("show fwd stats all", PROMPT);
      rx = Number(/for all ports[\s\S]*RX-packets: (\d+)/.exec(text)![1]);
    }
    const stopped = await pmd.ask("stop", PROMPT);
    const sums = [...stopped.matchAll(/([RT])X-packets: (\d+) +[RT]X-dropped: (\d+) +[RT]X-total: (\d+)/g)];
    expect(sums.map((match) => match[1]).join("")).toBe("RTRTRT");
    const numbers = sums.map((match) => match.slice(2).map(Number));
    for (const [packets, dropped, total] of numbers) expect(packets! + dropped!).toBe(total);
    const [rx0, tx0, rx1, tx1, rxAll, txAll] = numbers.map(([packets]) => packets!);
    expect([rx0! + rx1!, tx0! + tx1!]).toEqual([rxAll, txAll]);
    expect(txAll! - rxAll!).toBeLessThanOrEqual(32);
    const stats = await pmd.ask("show port stats all", PROMPT);
    expect(Number(/for port 0 [\s\S]*?RX-packets: (\d+)/.exec(stats)![1])).toBe(rx0);
    expect(await pmd.ask("clear port stats all", PROMPT)).toContain("NIC statistics for port 1 cleared");
    expect(await pmd.ask("show port stats 0", PROMPT)).toMatch(/RX-packets: 0 +RX-missed: 0 +RX-bytes: {2}0\n/);
    expect(await pmd.ask("show port xstats 0", PROMPT)).toContain("rx_good_packets: 0\n");
    // Packets that loop are in the ports' rings: two bursts of 8 in each, none lost on the way.
    expect(await pmd.ask("dump_mempool", PROMPT)).toContain("in_use_count=32\n");
    pmd.child.stdin.end("quit\n");
    expect(await pmd.exit).toEqual({ code: 0, signal: null });
  });

  it("shows packets while set verbose asks for it, and changes the burst while it forwards", async () => {
    const pmd = start([...EAL, "--vdev=net_loop0"], ["-i", "--txpkts=60,40"]);
    await pmd.expect(PROMPT);
    await pmd.ask("set burst 4", PROMPT);
    await pmd.ask("set verbose 1", PROMPT);
    await pmd.ask("start tx_first", /port 0\/queue 0: received 4 packets\n/);
    await pmd.expect(
      /src=02:00:00:00:01:00 - dst=02:00:00:00:00:00 - pool=mb_pool_0 - type=0x0800 - length=100 - nb_segs=2/,
    );
    await pmd.ask("set burst 2", /received 2 packets\n/);
    pmd.child.stdin.write("set verbose 0\nstop\n");
    await pmd.expect(/Change verbose level from 1 to 0/);
    await pmd.expect(/Done\./);
  });

  it("refuses what cannot be, with the reason, and goes on", async () => {
    const pmd = start([...EAL, "--vdev=net_loop0"], ["-i"]);
    await pmd.expect(PROMPT);
    const refusals: [string, string][] = [
      ["stop", "Packet forwarding not started"],
      ["show port info 7", "Invalid port 7"],
      ["set burst 513", "burst must be from 1 to 512, not 513"],
      ["set txpkts 9", "the first segment must hold the headers, 42 bytes"],
      ["set nbcore 9", "nb-cores must be from 1 to 1"],
      ["set portlist 0,3", "Invalid port 3"],
      ["set promisc 0 on", "net_loop does not support promiscuous mode"],
      ["load /no/such/file", "Cannot read /no/such/file"],
      ["help nothing", "No help on 'nothing'; there is help on control, display, config, ports, fault and all"],
      ["port attach net_zzz0", "no driver 'net_zzz'; there are net_loop"],
      ["port detach 0", "Port 0 not stopped"],
      ["port config all rxq 2", "Please stop all ports first"],
    ];
    for (const [line, reason] of refusals) expect(await pmd.ask(line, PROMPT), line).toContain(reason);
    await pmd.ask("start", PROMPT);
    expect(await pmd.ask("start", PROMPT)).toContain("Packet forwarding already started");
    for (const what of ["stop", "close"])
      expect(await pmd.ask(`port ${what} 0`, PROMPT)).toContain("Please remove port 0 from forwarding configuration");
    expect(await pmd.ask("stop", PROMPT)).toContain("Done.");
    await pmd.ask("port stop 0", PROMPT);
    expect(await pmd.ask("start", PROMPT)).toContain("Not all ports were started: port 0");
  });

  it("takes ports away and brings others while it runs", async () => {
    const pmd = start([...EAL, "--vdev=net_loop0"], ["-i"]);
    await pmd.expect(PROMPT);
    expect(await pmd.ask("port attach net_loop1,link=down", PROMPT)).toContain(
      "Port 1 is attached. Now total ports is 2",
    );
    expect(await pmd.ask("port attach net_loop1", PROMPT)).toContain("there is a device of this name already");
    expect(await pmd.ask("port start 1", PROMPT)).toContain("Port 1: 02:00:00:00:01:01");
    expect(await pmd.ask("set link-up port 1", PROMPT)).toContain("Port 1: link state change event");
    expect(await pmd.ask("start", PROMPT)).toContain("ports=2 - cores=1 - streams=2");
    await pmd.ask("stop", PROMPT);
    await pmd.ask("port stop all", PROMPT);
    expect(await pmd.ask("port detach 0", PROMPT)).toContain("Now total ports is 1");
    await pmd.ask("port config all rxq 2", PROMPT);
    await pmd.ask("port config all txq 2", PROMPT);
    await pmd.ask("port start all", PROMPT);
    expect(await pmd.ask("start", PROMPT)).toContain("ports=1 - cores=1 - streams=2");
    const stopped = await pmd.ask("stop", PROMPT);
    expect(stopped).toContain("------- Forward Stats for RX Port= 1/Queue= 1 -> TX Port= 1/Queue= 1 -------");
    expect(await pmd.ask("port close all", PROMPT)).toContain("Port 1 is closed");
    expect(await pmd.ask("start", PROMPT)).toContain("No ports to forward on");
  });

  it("runs the commands of files, which may load others, but not without end", async () => {
    writeFileSync(`${folder}/inner.txt`, "show config cores\n");
    writeFileSync(`${folder}/outer.txt`, `# outer\n\nload ${folder}/inner.txt\nset burst 7\n`);
    writeFileSync(`${folder}/endless.txt`, `load ${folder}/endless.txt\n`);
    const { output } = await runScript(
      LOOP,
      [...EAL, "--vdev=net_loop0", "--", "-i", `--cmdline-file=${folder}/outer.txt`],
      [`load ${folder}/endless.txt`, "show config rxtx"],
    );
    expect(output).toContain("testpmd> show config cores\nList of forwarding lcores: 1\n");
    expect(output).toContain("files load each other without end");
    expect(output).toContain("packets/burst=7");
  });
});

describe("a terminal", () => {
  /** The program on a pseudo terminal, by util-linux's script. */
  function terminal(): Program {
    const command = [process.execPath, LOOP, ...EAL, "--vdev=net_loop0", "--", "-i"]
      .map((word) => `'${word}'`)
      .join(" ");
    const program = new Program("script", ["-qfec", command, "/dev/null"]);
    programs.push(program);
    return program;
  }

  it.skipIf(!HAS_SCRIPT)("completes by Tab, recalls lines, and keeps the line that is being typed", async () => {
    const pmd = terminal();
    await pmd.expect(/testpmd> /);
    const type = async (keys: string, until: RegExp) => {
      pmd.child.stdin.write(keys);
      return pmd.expect(until);
    };
    await type("sho", /sho/);
    await type("\t", /w /);
    await type("po", /po/);
    await type("\t", /rt /);
    await type("sum", /sum/);
    await type("\t", /mary /);
    await type("all\r", /Number of available ports: 1/);
    await type("set link-down port 0\r", /Port 0: link state change event[\s\S]*testpmd> /);
    await type("\x1b[A", /set link-down port 0/);
    await type("\x1b[A", /show port summary all/);
    await type("\r", /net_loop0 +net_loop +down/);
    await type("\x03", /Signal 2 received[\s\S]*Bye\.\.\./);
    expect((await pmd.exit).code).toBe(0);
  });
});

describe("lcores", () => {
  it("shares streams of several queues out to several lcores", async () => {
    const eal = ["--in-memory", "-m", "128", ...THREE_LCORES, "--vdev=net_loop0", "--vdev=net_loop1"];
    const pmd = start(eal, ["-i", "--nb-cores=2", "--rxq=2", "--txq=2", "--burst=4"]);
    await pmd.expect(PROMPT);
    const text = await pmd.ask("start tx_first", PROMPT);
    expect(text).toContain("ports=2 - cores=2 - streams=4");
    expect(text).toMatch(/Logical Core 1 .* 2 streams:\n.*\n.*\nLogical Core 2 .* 2 streams:/);
    const stopped = await pmd.ask("stop", PROMPT);
    for (const match of stopped.matchAll(/RX-packets: (\d+) +TX-packets/g)) expect(match[1]).toBeTypeOf("string");
    expect([...stopped.matchAll(/------- Forward Stats for/g)].length).toBe(4);
  });

  it("says what is wrong with the lcores it is given", async () => {
    const one = await runScript(LOOP, ["--in-memory", "-l", "0", "--vdev=net_loop0"], []);
    expect(one).toMatchObject({ code: 1, errors: expect.stringContaining("No lcore to forward on") });
    const many = await runScript(LOOP, [...EAL, "--vdev=net_loop0", "--", "--nb-cores=5"], []);
    expect(many).toMatchObject({
      code: 2,
      errors: expect.stringContaining("--nb-cores 5: nb-cores must be from 1 to 1"),
    });
  });
});

describe("without -i", () => {
  it("forwards at once, prints statistics now and then, and ends in order at a signal", async () => {
    const eal = ["--file-prefix", `pmd-test-${process.pid}`, "-m", "128", ...TWO_LCORES, "--vdev=net_loop0"];
    const pmd = start(eal, ["--forward-mode=txonly", "--stats-period=1"]);
    await pmd.expect(/txonly packet forwarding packets\/burst=32\n {2}packet len=64 - nb packet segments=1/);
    await pmd.expect(/Port statistics ====+\n {2}#+ NIC statistics for port 0/);
    pmd.child.kill("SIGINT");
    await pmd.expect(/Signal 2 received, preparing to exit/);
    const end = await pmd.expect(/Bye\.\.\./);
    expect(end).toMatch(/TX-packets: \d+ +TX-dropped: \d+ +TX-total: \d+/);
    expect(await pmd.exit).toEqual({ code: 0, signal: null });
    expect(existsSync(`/var/run/dpdk/pmd-test-${process.pid}`)).toBe(false);
  });

  it("ends at the end of its input, and with SIGTERM", async () => {
    const ended = await runScript(LOOP, [...EAL, "--vdev=net_loop0"], []);
    expect(ended).toMatchObject({ code: 0, output: expect.stringContaining("Bye...") });
    const pmd = start([...EAL, "--vdev=net_loop0"], []);
    await pmd.expect(/nb forwarding cores=1/);
    pmd.child.kill("SIGTERM");
    expect(await pmd.exit).toEqual({ code: 0, signal: null });
    expect(pmd.output).toContain("Signal 15 received");
  });
});

describe("a second signal", () => {
  it("ends it at once, whatever it waits for", async () => {
    const pmd = start([...EAL, "--vdev=net_loop0,fail=stop"], ["-i"]);
    await pmd.expect(PROMPT);
    pmd.child.kill("SIGTERM");
    await pmd.expect(/Stopping ports\.\.\./);
    await new Promise((resolve) => setTimeout(resolve, 200)); // nothing is pending in it, and yet it waits
    expect(pmd.child.exitCode).toBeNull();
    pmd.child.kill("SIGTERM");
    expect((await pmd.exit).code).toBe(143);
  });
});

describe("a wrong command line", () => {
  it("ends with status 2 and a sentence; what fails later with 1", async () => {
    const cases: [args: string[], code: number, text: string][] = [
      [["--", "--burst=0"], 2, "testpmd: --burst 0: burst must be from 1 to 512, not 0"],
      [["--frobnicate"], 2, "Unknown argument: --frobnicate; an application's options stand after --"],
      [[...EAL, "--vdev=net_loop0,colour=red"], 2, "net_loop0: unknown key 'colour'; allowed are link, fail"],
      [[...EAL, "--vdev=net_loop0,fail=probe"], 1, "net_loop0: probe failed: told to fail"],
      [[...EAL, "--vdev=net_loop0", "--", "--rxq=5"], 1, "5 receive queues; the port has at most 4"],
    ];
    const runs = await Promise.all(cases.map(([args]) => runScript(LOOP, args, [])));
    cases.forEach(([args, code, text], i) => {
      expect(runs[i]!.errors, args.join(" ")).toContain(text);
      expect(runs[i]!.code, args.join(" ")).toBe(code);
    });
  });

  it("is explained by --help, which needs no device", async () => {
    const [help, version] = await Promise.all([["--help"], ["--version"]].map((args) => runScript(LOOP, args, null)));
    expect(help).toMatchObject({ code: 0, errors: "" });
    expect(help!.output).toMatch(/--vdev[\s\S]*--forward-mode/);
    expect(version!.output).toMatch(/^testpmd \d+\.\d+\.\d+\n$/);
  });
});
