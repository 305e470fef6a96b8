// `vfu conformance`: a good server passes every check, and servers that are wrong in one way each are caught by the check that
// should. The wrong ones are a relay in front of a good one that spoils what passes.
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { closeFd, SocketMessenger, unixAccept, unixConnect, unixListen, type Watcher, watch } from "@emudev/linux";
import { pciDevice, registers } from "@emudev/vfio-user";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Result } from "../src/conformance/check.ts";
import { CHECKS } from "../src/conformance/checks/index.ts";
import { gatherFacts } from "../src/conformance/facts.ts";
import { reportAs } from "../src/conformance/report.ts";
import { runChecks } from "../src/conformance/runner.ts";

const folder = mkdtempSync("/tmp/emudev-conformance-");
let device: ReturnType<typeof makeDevice>;
let path: string;
let count = 0;
const undo: (() => void)[] = [];

const makeDevice = () =>
  pciDevice({
    vendor: 0x1234,
    device: 0x0001,
    class: 0xff0000,
    bars: { 0: { size: 4096, registers: registers({ SCRATCH: { offset: 0 } }) }, 2: { size: 8192, memory: true } },
    interrupts: { msix: 3 },
  });

beforeEach(async () => {
  path = join(folder, `${count++}.sock`);
  device = makeDevice();
  await device.listen(path);
});
afterEach(async () => {
  for (const step of undo.splice(0)) step();
  await device.close();
});

async function run(
  socket: string,
  only = "",
  timeoutMs = 2000,
): Promise<{ results: Result[]; trouble: string | null }> {
  const results: Result[] = [];
  const trouble = await runChecks(
    CHECKS.filter(({ name }) => name.includes(only)),
    {
      socket,
      facts: await gatherFacts(socket, timeoutMs),
      timeoutMs,
      waitMs: 300,
      destructive: true,
      strict: true,
      signal: new AbortController().signal,
      onResult: (result) => results.push(result),
    },
  );
  return { results, trouble };
}

type Spoil = (bytes: Buffer, command: number) => Buffer | null;

/** A server at the end of a relay: what passes is spoilt message by message; null swallows it. */
function relay(towardsClient: Spoil, towardsServer: Spoil = (bytes) => bytes): { path: string; stop(): void } {
  const at = `${path}.wrong`;
  const listener = unixListen(at, 16);
  const ends: (() => void)[] = [];
  const accept = watch(listener, { readable: true }, () => {
    for (let fd = unixAccept(listener); fd >= 0; fd = unixAccept(listener)) ends.push(join2(fd, unixConnect(path)));
  });
  const join2 = (client: number, server: number): (() => void) => {
    const watchers: Watcher[] = [];
    let open = true;
    const end = (): void => {
      if (!open) return;
      open = false;
      for (const watcher of watchers) watcher.close();
      closeFd(client);
      closeFd(server);
    };
    const pass = (from: number, to: number, spoil: Spoil): void => {
      const messenger = new SocketMessenger(from);
      const other = new SocketMessenger(to);
      const chunk = new Uint8Array(65536);
      let rest = Buffer.alloc(0);
      let fds: number[] = [];
      const send = (bytes: Buffer): void => {
        other.send(bytes, 0, bytes.length, fds.length > 0 ? fds : undefined);
        for (const fd of fds) closeFd(fd);
        fds = [];
      };
      const turn = (): void => {
        const got = messenger.recv(chunk, 0, chunk.length);
        if (got === 0) end();
        if (got <= 0) return;
        fds.push(...messenger.fds);
        rest = Buffer.concat([rest, chunk.subarray(0, got)]);
        while (rest.length >= 16 && rest.length >= rest.readUInt32LE(4)) {
          const size = Math.max(rest.readUInt32LE(4), 16);
          const spoilt = spoil(Buffer.from(rest.subarray(0, size)), rest.readUInt16LE(2));
          rest = rest.subarray(size);
          if (spoilt !== null) send(spoilt);
        }
      };
      watchers.push(
        watch(from, { readable: true }, () => {
          try {
            if (open) turn();
          } catch {
            end();
          }
        }),
      );
    };
    pass(client, server, towardsServer);
    pass(server, client, towardsClient);
    return end;
  };
  let stopped = false;
  const stop = (): void => {
    if (stopped) return;
    stopped = true;
    accept.close();
    closeFd(listener);
    for (const end of ends) end();
  };
  undo.push(stop);
  return { path: at, stop };
}

/** Changes a message of one command, and of one kind. */
const change =
  (command: number, work: (bytes: Buffer) => Buffer | null | undefined): Spoil =>
  (bytes, its) => {
    if (its !== command) return bytes;
    const changed = work(bytes);
    return changed === undefined ? bytes : changed;
  };
/** Writes a number, gives the message. */
const u16 = (bytes: Buffer, at: number, value: number): Buffer => {
  bytes.writeUInt16LE(value, at);
  return bytes;
};
const u32 = (bytes: Buffer, at: number, value: number): Buffer => {
  bytes.writeUInt32LE(value >>> 0, at);
  return bytes;
};
const resized = (bytes: Buffer): Buffer => {
  bytes.writeUInt32LE(bytes.length, 4);
  return bytes;
};

describe("a good server", () => {
  it("passes all that can be asked of it", async () => {
    const { results, trouble } = await run(path);
    expect(trouble).toBeNull();
    expect(results.filter(({ outcome }) => outcome === "fail" || outcome === "differs")).toEqual([]);
    expect(results.filter(({ outcome }) => outcome === "pass").length).toBeGreaterThan(120);
    for (const { reason } of results.filter(({ outcome }) => outcome === "skip")) expect(reason).not.toBe("");
    expect(new Set(CHECKS.map(({ name }) => name)).size).toBe(CHECKS.length);
  });
});

describe("a server that is wrong", () => {
  const wrong: [what: string, check: string, towardsClient: Spoil, towardsServer?: Spoil][] = [
    ["answers with another id", "a reply bears id", change(4, (b) => u16(b, 0, b.readUInt16LE(0) ^ 1))],
    ["answers with another command", "a reply bears id", change(4, (b) => u16(b, 2, 7))],
    ["takes any version", "another major version", (b) => b, change(1, (b) => (b.length >= 20 ? u16(b, 16, 0) : b))],
    [
      "answers what wants no answer",
      "no reply to a command that wants none",
      (b) => b,
      (b) => u32(b, 8, b.readUInt32LE(8) & ~0x10),
    ],
    [
      "puts a payload behind an error",
      "an error reply is the header alone",
      (b) => (b.readUInt32LE(8) & 0x20 ? resized(Buffer.concat([b, Buffer.alloc(4)])) : b),
    ],
    ["tells another argsz", "GET_INFO with a larger argsz", change(4, (b) => (b.length === 32 ? u32(b, 16, 99) : b))],
    [
      "lets a read return less",
      "the reply to a read echoes",
      change(9, (b) => (b.length > 34 ? resized(b.subarray(0, 34)) : b)),
    ],
    ["echoes nothing at DMA_UNMAP", "a region without an fd is mapped", change(3, (b) => resized(b.subarray(0, 16)))],
    [
      "accepts an unmap of what is not mapped",
      "unmapping what is not mapped",
      change(3, (b) => resized(Buffer.concat([u32(b, 8, 1).subarray(0, 16), Buffer.alloc(24)]))),
    ],
    ["swallows a command", "the server goes on after a refusal", (b) => b, change(0x1234, () => null)],
    ["has another id each time", "vendor and device id", change(9, (b) => (b.length === 36 ? u32(b, 32, count++) : b))],
    [
      "offers twin sockets unasked",
      "are not offered unasked",
      change(1, (b) => {
        const body = '{"capabilities":{"twin_socket":{"supported":true,"fd_index":0}}}\0';
        return b.readUInt32LE(8) & 0x20 ? b : resized(Buffer.concat([b.subarray(0, 20), Buffer.from(body)]));
      }),
    ],
  ];
  it.each(wrong)("%s: seen by '%s'", async (_what, check, towardsClient, towardsServer) => {
    const { results } = await run(relay(towardsClient, towardsServer).path, check, 400);
    expect(results).not.toHaveLength(0);
    expect(
      results.some(({ outcome }) => outcome === "fail"),
      JSON.stringify(results, null, 1),
    ).toBe(true);
  });

  it("dies in the middle: the check is named, the rest is skipped, nothing hangs", async () => {
    const server = relay(
      (b) => b,
      change(0x1234, () => {
        server.stop();
        return null;
      }),
    );
    const { results, trouble } = await run(server.path, "request:", 300);
    expect(trouble).toMatch(/^after 'request: a command that does not exist is refused' the server had ended/);
    expect(results.at(-1)).toMatchObject({ outcome: "skip", reason: "the server no longer serves" });
  });
});

describe("reports", () => {
  const results: Result[] = [
    {
      name: "a: one",
      severity: "must",
      reference: "S 1",
      outcome: "pass",
      reason: null,
      sent: "",
      expected: "",
      got: "",
      ms: 1,
    },
    {
      name: "a: two",
      severity: "must",
      reference: "S 2",
      outcome: "fail",
      reason: null,
      sent: "x",
      expected: "<1>",
      got: "2",
      ms: 2,
    },
    {
      name: "b: three",
      severity: "reference",
      reference: "S 3",
      outcome: "skip",
      reason: "no #",
      sent: "",
      expected: "",
      got: "",
      ms: 0,
    },
  ];
  const written = (format: "tap" | "junit" | "json", trouble: string | null = null): string => {
    const lines: string[] = [];
    const report = reportAs(format, results.length, "/x", (line) => lines.push(line));
    for (const result of results) report.result(result);
    report.end(trouble);
    return lines.join("\n");
  };

  it("are TAP, JUnit and JSON", () => {
    const tap = written("tap", "gone");
    expect(tap).toContain('TAP version 13\n1..3\nok 1 - a: one\nnot ok 2 - a: two\n  ---\n  severity: "must"');
    expect(tap).toContain(
      "ok 3 - b: three # SKIP no #\nBail out! gone\n# 1 passed, 1 failed, 0 differ from libvfio-user, 1 skipped",
    );
    expect(written("junit")).toContain('tests="3" failures="1" skipped="1" errors="0" time="0.003"');
    expect(written("junit")).toContain('<failure message="expected &lt;1&gt;; got 2">S 2&#10;sent: x</failure>');
    expect(JSON.parse(written("json"))).toMatchObject({ passed: 1, failed: 1, skipped: 1, trouble: null, results });
  });
});

process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
