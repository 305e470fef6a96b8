// Eventfds, reads and writes by address, errno names, and watchers on the event loop: what they report, when they stop,
// and that none of the traps of the binding below them shows.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { openSync, readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ERRNO as DATA_ERRNO, endSignals, readAt, signalEventfd, writeAt } from "../src/data/index.ts";
import {
  addressOf,
  adoptEventfd,
  closeFd,
  ERRNO,
  errnoName,
  eventfd,
  eventfdRead,
  eventfdWrite,
  fdCount,
  readInto,
  SocketMessenger,
  socketPair,
  type Watcher,
  watch,
  watcherCount,
  writeFrom,
} from "../src/index.ts";

let before = 0;
beforeEach(() => {
  fdCount();
  before = fdCount();
});
afterEach(() => {
  expect(watcherCount()).toBe(0);
  expect(fdCount()).toBe(before);
});

const LINUX = new URL("../dist/index.js", import.meta.url).href;
const turn = () => new Promise((resolve) => setTimeout(resolve, 5));

describe("eventfds", () => {
  it("count what is added and read as nothing when empty", () => {
    const fd = eventfd(2);
    expect(eventfdWrite(fd)).toBe(true);
    expect(eventfdWrite(fd, 10)).toBe(true);
    expect(signalEventfd(fd)).toBe(0);
    expect(eventfdRead(fd)).toBe(14);
    expect(eventfdRead(fd)).toBe(0);
    closeFd(fd);
    expect(() => eventfdWrite(fd)).toThrow(/write\(fd \d+\): EBADF/);
    expect(signalEventfd(fd)).toBe(-ERRNO.EBADF);
  });

  it("that are full do not make the writer wait", () => {
    const fd = eventfd();
    const most = new Uint8Array(new BigUint64Array([0xffff_ffff_ffff_fffen]).buffer);
    expect(writeFrom(fd, most, 0, 8)).toBe(8);
    expect(eventfdWrite(fd)).toBe(false);
    expect([0, -ERRNO.EAGAIN]).toContain(signalEventfd(fd));
    closeFd(fd);
  });

  it("are signalled a hundred thousand times without harm to the heap, whatever is collected meanwhile", () => {
    const script = `
      const { closeFd, eventfd, eventfdRead, signalEventfd } = await import(${JSON.stringify(LINUX)});
      let junk = [], sum = 0;
      for (let round = 0; round < 40; round++) {
        const fds = Array.from({ length: 50 }, () => eventfd());
        for (let i = 0; i < 50; i++) for (const fd of fds) signalEventfd(fd);
        for (const fd of fds) { sum += eventfdRead(fd); closeFd(fd); }
        for (let i = 0; i < 1000; i++) junk.push(new Uint8Array(100 + (i % 9000)));
        if (round % 10 === 9) { junk = []; globalThis.gc(); }
      }
      console.log(sum);`;
    const args = ["--expose-gc", "--input-type=module", "-e", script];
    const { status, signal, stdout } = spawnSync(process.execPath, args, { encoding: "utf8" });
    expect({ status, signal, stdout }).toEqual({ status: 0, signal: null, stdout: "100000\n" });
  });

  it("never make us wait, whatever a peer that holds them does to their flags and counters", () => {
    const script = `
      const { default: koffi } = await import(${JSON.stringify(import.meta.resolve("koffi"))});
      const { eventfd, eventfdRead, signalEventfd, writeFrom } = await import(${JSON.stringify(LINUX)});
      const clearFlags = (fd) => koffi.load(null).func("int fcntl(int, int, ...)")(fd, 4, "int", 0);
      const empty = eventfd(), full = eventfd();
      clearFlags(empty);
      console.log(eventfdRead(empty), signalEventfd(empty), eventfdRead(empty));
      writeFrom(full, new Uint8Array(new BigUint64Array([0xffff_ffff_ffff_fffen]).buffer), 0, 8);
      clearFlags(full);
      for (let i = 0; i < 1000; i++) signalEventfd(full);
      console.log(eventfdRead(full) > 2 ** 63);`;
    const args = ["--input-type=module", "-e", script];
    const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8", timeout: 20_000 });
    expect(stdout + stderr).toBe("0 0 1\ntrue\n");
  });

  it("need nothing of the kernel any more when a thread has ended its signals", () => {
    const contexts = (): number => readFileSync("/proc/self/maps", "utf8").split("[aio]").length - 1;
    const fd = eventfd();
    endSignals();
    const none = contexts();
    for (let i = 0; i < 3; i++) {
      expect(signalEventfd(fd)).toBe(0);
      endSignals();
      endSignals();
    }
    expect([eventfdRead(fd), contexts()]).toEqual([3, none]);
    closeFd(fd);
  });

  it("of a peer are made non-blocking, and anything else is refused", () => {
    const fd = eventfd();
    adoptEventfd(fd);
    const [a, b] = socketPair();
    expect(() => adoptEventfd(a)).toThrow(/EINVAL: not an eventfd but socket/);
    const file = openSync("/dev/null", "w");
    expect(() => adoptEventfd(file)).toThrow(/not an eventfd but \/dev\/null/);
    for (const each of [fd, a, b, file]) closeFd(each);
    expect(() => adoptEventfd(fd)).toThrow(/EBADF/);
  });
});

describe("reads and writes by address", () => {
  it("move bytes and return -errno", () => {
    const [a, b] = socketPair();
    const from = new Uint8Array(new SharedArrayBuffer(64)).fill(5);
    const into = new Uint8Array(new SharedArrayBuffer(64));
    expect(readAt(b, addressOf(into), 64)).toBe(-DATA_ERRNO.EAGAIN);
    expect(writeAt(a, addressOf(from), 64)).toBe(64);
    expect(readAt(b, addressOf(into) + 8, 16)).toBe(16);
    expect([...into.subarray(6, 26)]).toEqual([0, 0, ...Array(16).fill(5), 0, 0]);
    expect(readAt(b, 0, 64)).toBe(-ERRNO.EFAULT);
    closeFd(a);
    closeFd(b);
    expect(readAt(b, addressOf(into), 1)).toBe(-ERRNO.EBADF);
  });

  it("into buffers are checked first", () => {
    const [a, b] = socketPair();
    const buffer = new Uint8Array(8);
    expect(readInto(b, buffer, 0, 8)).toBe(-1);
    expect(writeFrom(a, buffer.fill(1), 4, 4)).toBe(4);
    expect(readInto(b, buffer, 2, 6)).toBe(4);
    expect(() => readInto(b, buffer, 4, 8)).toThrow(/EFAULT.*4\.\.12 of a buffer of 8/);
    closeFd(a);
    expect(readInto(b, buffer, 0, 8)).toBe(0);
    closeFd(b);
  });
});

describe("errno names", () => {
  it("are those of Linux, for either sign", () => {
    expect(errnoName(11)).toBe("EAGAIN");
    expect(errnoName(-95)).toBe("ENOTSUP");
    expect(errnoName(4242)).toBe("errno 4242");
    for (const [name, value] of Object.entries(ERRNO)) expect(errnoName(value)).toBe(name);
  });
});

describe("watchers", () => {
  it("report readiness until it is consumed, and nothing after close", async () => {
    const fd = eventfd();
    let calls = 0;
    const watcher = watch(fd, { readable: true }, (ready) => {
      expect(ready).toEqual({ readable: true, writable: false, error: 0 });
      if (++calls === 3) eventfdRead(fd);
    });
    await turn();
    expect(calls).toBe(0);
    eventfdWrite(fd);
    while (calls < 3) await turn();
    await turn();
    expect(calls).toBe(3);
    eventfdWrite(fd);
    watcher.close();
    watcher.close();
    watcher.update({ readable: true });
    watcher.ref();
    watcher.unref();
    await turn();
    expect(calls).toBe(3);
    closeFd(fd);
  });

  it("let promises made in the callback go on at once, as after any other event", async () => {
    const fd = eventfd();
    const order: string[] = [];
    const done = new Promise<void>((resolve) => {
      const watcher = watch(fd, { readable: true }, async () => {
        watcher.close();
        order.push("callback");
        await null;
        order.push("after await");
        resolve();
      });
    });
    eventfdWrite(fd);
    await done;
    expect(order).toEqual(["callback", "after await"]);
    closeFd(fd);
  });

  it("survive garbage collection", async () => {
    const fd = eventfd();
    let calls = 0;
    let weak: WeakRef<Watcher> | undefined;
    (() => {
      weak = new WeakRef(
        watch(fd, { readable: true }, () => {
          calls++;
          eventfdRead(fd);
        }),
      );
    })();
    for (let round = 0; round < 20; round++) {
      const garbage = Array.from({ length: 20000 }, (_, i) => ({ i }));
      expect(garbage).toHaveLength(20000);
      await turn();
    }
    eventfdWrite(fd);
    for (let tries = 0; calls === 0 && tries < 1000; tries++) await turn();
    expect(calls).toBe(1);
    expect(() => watch(fd, { readable: true }, () => {})).toThrow(/EEXIST.*watched already/);
    weak?.deref()?.close();
    closeFd(fd);
  });

  it("change what they report", async () => {
    const [a, b] = socketPair();
    const seen: string[] = [];
    const watcher = watch(a, {}, (ready) => {
      seen.push(`${ready.readable ? "r" : ""}${ready.writable ? "w" : ""}`);
      if (ready.writable) watcher.update({ writable: false });
    });
    await turn();
    expect(seen).toEqual([]);
    watcher.update({ writable: true });
    await turn();
    expect(seen).toEqual(["w"]);
    writeFrom(b, new Uint8Array(1), 0, 1);
    await turn();
    expect(seen).toEqual(["w"]);
    watcher.update({ readable: true });
    while (seen.length < 2) await turn();
    expect(seen[1]).toBe("r");
    watcher.close();
    closeFd(a);
    closeFd(b);
  });

  it("report the end of a stream, and a reset, as readable", async () => {
    for (const unread of [0, 4]) {
      const [a, b] = socketPair();
      if (unread > 0) writeFrom(b, new Uint8Array(unread), 0, unread);
      let watcher: ReturnType<typeof watch> | undefined;
      const outcome = new Promise<string>((resolve) => {
        watcher = watch(b, { readable: true }, (ready) => {
          expect(ready.readable).toBe(true);
          watcher?.close();
          try {
            resolve(String(new SocketMessenger(b).recv(new Uint8Array(4), 0, 4)));
          } catch (error) {
            resolve((error as { code: string }).code);
          }
        });
      });
      closeFd(a);
      expect(await outcome).toBe(unread === 0 ? "0" : "ECONNRESET");
      closeFd(b);
    }
  });

  it("refuse what cannot be polled", () => {
    const file = openSync("/etc/hostname", "r");
    expect(() => watch(file, { readable: true }, () => {})).toThrow(/epoll_ctl\(fd \d+\): EPERM.*cannot be watched/);
    closeFd(file);
    expect(() => watch(file, { readable: true }, () => {})).toThrow(/epoll_ctl\(fd \d+\): EBADF/);
  });

  it("keep a process alive, or not when told so; a thrown error ends it as any other would", async () => {
    const index = new URL("../dist/index.js", import.meta.url).href;
    const run = async (body: string): Promise<{ code: number | null; text: string }> => {
      const code = `import { eventfd, eventfdWrite, watch } from ${JSON.stringify(index)};\n${body}`;
      const child = spawn(process.execPath, ["--input-type=module", "-e", code], { stdio: ["ignore", "pipe", "pipe"] });
      let text = "";
      child.stdout.on("data", (chunk) => (text += chunk));
      child.stderr.on("data", (chunk) => (text += chunk));
      const [status] = await once(child, "close");
      return { code: status, text };
    };
    const event = "const fd = eventfd(); const w = watch(fd, { readable: true }, () => { BODY });";
    const alive = await run(
      `${event.replace("BODY", "w.close(); console.log('heard')")} setTimeout(() => eventfdWrite(fd), 100).unref();
       setTimeout(() => {}, 50);`,
    );
    // The timer is unreferenced: only the watcher keeps the loop running until it fires.
    expect(alive).toMatchObject({ code: 0, text: "heard\n" });
    const ended = await run(`${event.replace("BODY", "")} w.unref();`);
    expect(ended).toMatchObject({ code: 0, text: "" });
    const thrown = await run(`${event.replace("BODY", "throw new Error('from the callback')")} eventfdWrite(fd);`);
    expect(thrown.code).toBe(1);
    expect(thrown.text).toContain("from the callback");
  });
});
