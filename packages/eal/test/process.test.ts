// What a process leaves in the file system and says: the runtime directory's lock, telemetry over a real socket, log lines.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { closeFd, SocketMessenger, unixConnect } from "@emudev/linux";
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

/** What dpdk-telemetry.py is, in short: messages there and back. */
class Asker {
  readonly fd: number;
  readonly #messenger: SocketMessenger;

  constructor(path: string) {
    this.fd = unixConnect(path, "seqpacket");
    this.#messenger = new SocketMessenger(this.fd, 0);
  }

  /** The next message; undefined when the connection has ended. */
  async next(): Promise<unknown> {
    const buffer = Buffer.alloc(65536);
    for (;;) {
      const count = this.#messenger.recv(buffer, 0, buffer.length);
      if (count === 0) return undefined;
      if (count > 0) return JSON.parse(buffer.subarray(0, count).toString());
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  ask(question: string): Promise<unknown> {
    const bytes = Buffer.from(question);
    this.#messenger.send(bytes, 0, bytes.length);
    return this.next();
  }
}

describe("telemetry", () => {
  const telemetry = new Telemetry(new Logs([], () => {}).type("lib.eal"));
  const path = `${base}/dpdk_telemetry.v2`;
  telemetry.register("/x/answer", "The answer.", (params) => ({ params }));
  telemetry.register("/x/long", "Too long.", () => "x".repeat(100_000));
  telemetry.register("/x/broken", "Throws.", () => {
    throw new Error("no");
  });
  beforeAll(() => telemetry.listen(path, { version: "t", pid: process.pid }));
  afterAll(() => {
    telemetry.close();
    expect(existsSync(path)).toBe(false);
  });

  it("greets and answers, a message for a message, and survives nonsense", async () => {
    const asker = new Asker(path);
    expect(await asker.next()).toMatchObject({ version: "t", pid: process.pid, max_output_len: 65536 });
    expect(await asker.ask("/")).toEqual({ "/": ["/", "/help", "/x/answer", "/x/broken", "/x/long"] });
    expect(await asker.ask("/x/answer,0")).toEqual({ "/x/answer": { params: "0" } });
    expect(await asker.ask("/x/broken")).toEqual({ "/x/broken": null });
    expect(await asker.ask("/x/long")).toEqual({ "/x/long": null });
    expect(await asker.ask("/nope")).toEqual({ "/nope": null });
    expect(await asker.ask("/help,/x/answer")).toEqual({ "/help": { "/x/answer": "The answer." } });
    expect(Object.values((await asker.ask("\0\xff".repeat(5000))) as object)).toEqual([null]);
    expect(await asker.ask("/x/answer")).toEqual({ "/x/answer": { params: "" } });
    closeFd(asker.fd);
  });

  it("drops a client that asks and never reads, and refuses an eleventh, while others are served", async () => {
    const deaf = new Asker(path);
    const question = Buffer.from("/");
    const messenger = new SocketMessenger(deaf.fd, 0);
    for (;;) {
      try {
        messenger.send(question, 0, question.length);
      } catch {
        break; // EPIPE: dropped
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    closeFd(deaf.fd);
    const askers = Array.from({ length: 10 }, () => new Asker(path));
    for (const asker of askers) expect(await asker.next()).toMatchObject({ version: "t" });
    const eleventh = new Asker(path);
    expect(await eleventh.next()).toBeUndefined();
    expect(await askers[9]!.ask("/x/answer,9")).toEqual({ "/x/answer": { params: "9" } });
    for (const { fd } of [...askers, eleventh]) closeFd(fd);
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
