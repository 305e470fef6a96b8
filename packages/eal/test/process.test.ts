// What a process leaves in the file system and says: the runtime directory's lock, telemetry over a real socket, log lines.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { acquireRuntimeDir, EalError, Logs, runtimePath, Telemetry } from "../src/index.ts";

const base = `/tmp/eal/test-${process.pid}`;
beforeAll(() => mkdirSync(base, { recursive: true }));
afterAll(() => rmSync(base, { recursive: true, force: true }));

describe("runtime directory", () => {
  it("lies where DPDK's does", () => {
    const expected = process.getuid!() === 0 ? "/var/run/dpdk/rte" : "/run/user/7/dpdk/rte";
    expect(runtimePath("rte", { XDG_RUNTIME_DIR: "/run/user/7" })).toBe(expected);
  });

  it("is one process's at a time: the other learns whose it is", () => {
    const path = `${base}/one`;
    const mine = acquireRuntimeDir(path);
    expect(() => acquireRuntimeDir(path)).toThrow(
      expect.objectContaining({
        code: "RUNTIME",
        message: expect.stringContaining(`in use by process ${process.pid}`),
      }),
    );
    mine.release();
    mine.release();
    expect(existsSync(path)).toBe(false);
    acquireRuntimeDir(path).release();
  });

  it("takes over the lock of a process that is gone, of a reused pid and of a torn file", async () => {
    const gone = spawn(process.execPath, ["-e", "0"]);
    await once(gone, "exit");
    for (const content of [`${gone.pid} 1234\n`, `${process.pid} 1\n`, "", "garbage"]) {
      const path = `${base}/stale`;
      mkdirSync(path, { recursive: true });
      writeFileSync(`${path}/lock`, content);
      const taken = acquireRuntimeDir(path);
      expect(readdirSync(path)).toEqual(["lock"]);
      taken.release();
    }
  });

  it("says what is wrong with a path that cannot be used", () => {
    writeFileSync(`${base}/file`, "");
    expect(() => acquireRuntimeDir(`${base}/file/x`)).toThrow(EalError);
  });
});

describe("telemetry", () => {
  it("answers lines over its socket as DPDK's does, and survives nonsense", async () => {
    const telemetry = new Telemetry(new Logs([], () => {}).type("lib.eal"));
    telemetry.register("/x/answer", "The answer.", (params) => ({ params }));
    telemetry.register("/x/broken", "Throws.", () => {
      throw new Error("no");
    });
    const path = `${base}/telemetry.sock`;
    await telemetry.listen(path, { version: "t", pid: 1 });
    const socket = connect(path);
    socket.on("error", () => {}); // the server may close with our last bytes unread
    const lines = createInterface({ input: socket })[Symbol.asyncIterator]();
    const next = async () => JSON.parse((await lines.next()).value);
    expect(await next()).toMatchObject({ version: "t", pid: 1, max_output_len: expect.any(Number) });
    socket.write("/\n/x/answer,0\n/x/bro");
    expect(await next()).toEqual({ "/": ["/", "/help", "/x/answer", "/x/broken"] });
    expect(await next()).toEqual({ "/x/answer": { params: "0" } });
    socket.write("ken\n/nope\n/help,/x/answer\n");
    expect(await next()).toEqual({ "/x/broken": null });
    expect(await next()).toEqual({ "/nope": null });
    expect(await next()).toEqual({ "/help": { "/x/answer": "The answer." } });
    const closed = new Promise((resolve) => socket.on("close", resolve));
    socket.write("x".repeat(100_000));
    await closed;
    await telemetry.close();
    expect(existsSync(path)).toBe(false);
  });
});

describe("logs", () => {
  it("writes `NAME: text` lines of the types' levels, which rules change at any time", () => {
    const lines: string[] = [];
    const logs = new Logs([{ pattern: "pmd.*", level: 8 }], (line) => lines.push(line));
    const log = logs.type("lib.eal");
    log.info("one");
    log.debug("not seen");
    log.child("lib.vfio-user").warning("two");
    log.child("pmd.net.avfbe").debug("three");
    logs.set({ pattern: "lib.*", level: 4 });
    log.notice("not seen");
    log.error("four");
    expect(lines).toEqual(["EAL: one\n", "VFIO_USER: two\n", "AVFBE: three\n", "EAL: four\n"]);
    expect(logs.list()).toEqual([
      { name: "lib.eal", level: 4 },
      { name: "lib.vfio-user", level: 4 },
      { name: "pmd.net.avfbe", level: 8 },
    ]);
  });
});
