// Unix sockets between two ends in this process: exchange, ends and resets, what would have to wait, and every refusal.
import { existsSync, mkdirSync, rmSync, unlinkSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  closeFd,
  fdCount,
  LinuxError,
  Peeker,
  peerCredentials,
  SocketMessenger,
  shutdownFd,
  socketPair,
  unixAccept,
  unixConnect,
  unixListen,
} from "../src/index.ts";

const folder = `/tmp/linux/${process.pid}`;
const path = `${folder}/s.sock`;
let before = 0;

beforeEach(() => {
  mkdirSync(folder, { recursive: true });
  fdCount();
  before = fdCount();
});
afterEach(() => {
  if (existsSync(path)) unlinkSync(path);
  rmSync(folder, { recursive: true });
  expect(fdCount()).toBe(before);
});

function thrown(action: () => unknown): LinuxError {
  try {
    action();
  } catch (error) {
    expect(error).toBeInstanceOf(LinuxError);
    return error as LinuxError;
  }
  throw new Error("nothing was thrown");
}

describe("unix sockets", () => {
  it("listen, connect, accept, exchange, end", () => {
    const listener = unixListen(path);
    expect(unixAccept(listener)).toBe(-1);
    const client = unixConnect(path);
    const server = unixAccept(listener);
    expect(server).toBeGreaterThan(2);
    expect(unixAccept(listener)).toBe(-1);
    expect(peerCredentials(server)).toEqual({ pid: process.pid, uid: process.getuid?.(), gid: process.getgid?.() });

    const ours = new SocketMessenger(client);
    const theirs = new SocketMessenger(server);
    const buffer = new Uint8Array(16);
    expect(theirs.recv(buffer, 0, 16)).toBe(-1);
    expect(ours.send(Buffer.from("xxhello"), 2, 5)).toBe(5);
    expect(theirs.recv(buffer, 3, 2)).toBe(2);
    expect(theirs.recv(buffer, 5, 11)).toBe(3);
    expect(Buffer.from(buffer).toString("latin1", 3, 8)).toBe("hello");
    closeFd(client);
    expect(theirs.recv(buffer, 0, 16)).toBe(0);
    expect(thrown(() => theirs.send(buffer, 0, 1))).toMatchObject({ code: "EPIPE", errno: 32, syscall: "sendmsg" });
    closeFd(server);
    closeFd(listener);
  });

  it("answer a short request before it is taken, and leave to the messenger what is more than that", () => {
    const [a, b] = socketPair();
    const ours = new SocketMessenger(a);
    const theirs = new SocketMessenger(b);
    const peeker = new Peeker(b, 8, 4);
    const shown = (times = 1): string | number => {
      const got = peeker.look(times);
      const { buffer, byteOffset } = peeker.request;
      return got <= 0 ? got : Buffer.from(buffer).toString("latin1", byteOffset, byteOffset + got);
    };
    const into = new Uint8Array(16);
    expect([shown(), shown(3)]).toEqual([0, 0]);
    ours.send(Buffer.from("one"), 0, 3);
    expect([shown(), shown(3)]).toEqual(["one", "one"]);
    peeker.reply.setUint32(0, 0x61626364);
    expect(peeker.answer(4)).toBe(4);
    expect([ours.recv(into, 0, 16), Buffer.from(into).toString("latin1", 0, 4)]).toEqual([4, "abcd"]);
    ours.send(Buffer.from("longer than 8"), 0, 13);
    expect(shown()).toBe("onelonge");
    peeker.take(8);
    expect(shown()).toBe("r than 8");
    peeker.take(8);
    expect(thrown(() => peeker.take(8))).toMatchObject({ code: "EAGAIN", syscall: "recv" });
    ours.send(Buffer.from("fd"), 0, 2, [a]);
    const fds = fdCount();
    expect(shown()).toBe(-1);
    expect(fdCount()).toBe(fds);
    expect([theirs.recv(into, 0, 8), theirs.fds.length, theirs.truncated]).toEqual([2, 1, false]);
    closeFd(theirs.fds[0] as number);
    ours.send(Buffer.from("end"), 0, 3);
    closeFd(a);
    expect(shown()).toBe("end");
    expect(peeker.answer(4)).toBe(0);
    expect(thrown(() => theirs.send(into, 0, 4))).toMatchObject({ code: "EPIPE" });
    peeker.take(3);
    expect(shown()).toBe(-1);
    closeFd(b);
  });

  it("says what failed, on what, and why", () => {
    expect(thrown(() => unixConnect(path))).toMatchObject({ code: "ENOENT", syscall: "connect", target: path });
    const listener = unixListen(path);
    expect(thrown(() => unixListen(path))).toMatchObject({ code: "EADDRINUSE", syscall: "bind", target: path });
    closeFd(listener);
    expect(thrown(() => unixConnect(path))).toMatchObject({ code: "ECONNREFUSED", errno: 111 });
    const long = `${folder}/${"x".repeat(120)}`;
    expect(thrown(() => unixListen(long)).message).toMatch(/ENAMETOOLONG.*107 bytes/);
    expect(thrown(() => unixListen("")).code).toBe("EINVAL");
    expect(thrown(() => unixListen("/tmp/a\0b")).code).toBe("EINVAL");
    expect(thrown(() => unixAccept(9999)).message).toBe("accept4(fd 9999): EBADF");
  });

  it("takes a path of exactly 107 bytes", () => {
    const full = `${folder}/${"x".repeat(107 - folder.length - 1)}`;
    const listener = unixListen(full);
    const client = unixConnect(full);
    closeFd(client);
    closeFd(listener);
    expect(existsSync(full)).toBe(true);
  });

  it("never waits when a full backlog or a full socket would make it", () => {
    const listener = unixListen(path, 1);
    const clients: number[] = [];
    const refused = thrown(() => {
      for (let i = 0; i < 100; i++) clients.push(unixConnect(path));
    });
    expect(refused.code).toBe("EAGAIN");
    for (const fd of clients) closeFd(fd);
    closeFd(listener);

    const [a, b] = socketPair();
    const sender = new SocketMessenger(a);
    const chunk = new Uint8Array(65536);
    let sent = 0;
    for (;;) {
      const n = sender.send(chunk, 0, chunk.length);
      if (n < 0) break;
      sent += n;
    }
    const receiver = new SocketMessenger(b);
    let received = 0;
    for (;;) {
      const n = receiver.recv(chunk, 0, chunk.length);
      if (n < 0) break;
      received += n;
    }
    expect(received).toBe(sent);
    closeFd(a);
    closeFd(b);
  });

  it("ends a connection that stays open", () => {
    const [a, b] = socketPair();
    shutdownFd(a);
    expect(new SocketMessenger(b).recv(new Uint8Array(4), 0, 4)).toBe(0);
    shutdownFd(b);
    closeFd(a);
    closeFd(b);
    expect(thrown(() => shutdownFd(a)).code).toBe("EBADF");
  });

  it("tells a reset from an end", () => {
    const [a, b] = socketPair();
    new SocketMessenger(b).send(new Uint8Array(4), 0, 4);
    closeFd(a);
    expect(thrown(() => new SocketMessenger(b).recv(new Uint8Array(4), 0, 4))).toMatchObject({ code: "ECONNRESET" });
    closeFd(b);
  });
});
