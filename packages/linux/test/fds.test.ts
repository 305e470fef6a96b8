// File descriptors over a real socket pair: which read surfaces them, who closes those that do not fit, limits; and
// that no test leaves an fd behind.
import { openSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  closeFd,
  dupFd,
  eventfd,
  eventfdRead,
  eventfdWrite,
  fdCount,
  fileStat,
  LinuxError,
  SCM_MAX_FD,
  SocketMessenger,
  socketPair,
} from "../src/index.ts";

let before = 0;
beforeEach(() => {
  fdCount();
  before = fdCount();
});
afterEach(() => expect(fdCount()).toBe(before));

const byte = new Uint8Array(64);

function pair(maxFds?: number): { a: SocketMessenger; b: SocketMessenger; close(): void } {
  const [a, b] = socketPair();
  return {
    a: new SocketMessenger(a),
    b: new SocketMessenger(b, maxFds),
    close: () => {
      closeFd(a);
      closeFd(b);
    },
  };
}

describe("fds over a socket", () => {
  it("arrive as other numbers for the same open file", () => {
    const { a, b, close } = pair();
    const events = [eventfd(), eventfd(7), eventfd()];
    expect(a.send(byte, 0, 16, events)).toBe(16);
    expect(b.recv(byte, 0, 64)).toBe(16);
    expect(b.truncated).toBe(false);
    expect(b.fds).toHaveLength(3);
    const received = [...b.fds];
    expect(eventfdRead(received[1])).toBe(7);
    eventfdWrite(received[2], 5);
    expect(eventfdRead(events[2])).toBe(5);
    expect(b.recv(byte, 0, 64)).toBe(-1);
    expect(b.fds).toHaveLength(0);
    for (const fd of [...events, ...received]) closeFd(fd);
    close();
  });

  it("come with the first byte they were sent with, whatever is read apart", () => {
    const { a, b, close } = pair();
    const event = eventfd();
    a.send(byte, 0, 16);
    a.send(byte, 0, 16, [event]);
    a.send(byte, 0, 16, [event, event]);
    const seen: [number, number][] = [];
    for (let rest = 48; rest > 0; ) {
      const n = b.recv(byte, 0, Math.min(rest, 12));
      expect(n).toBeGreaterThan(0);
      seen.push([48 - rest, b.fds.length]);
      for (const fd of b.fds) closeFd(fd);
      rest -= n;
    }
    // Each set is surfaced by a read that starts at or before its first byte and never by a later one.
    expect(seen.reduce((sum, [, fds]) => sum + fds, 0)).toBe(3);
    expect(seen.filter(([, fds]) => fds === 1)[0][0]).toBeLessThanOrEqual(16);
    expect(seen.filter(([, fds]) => fds === 2)[0][0]).toBeLessThanOrEqual(32);
    closeFd(event);
    close();
  });

  it("are reported lost when there are more than the reader takes, and the kernel closes those", () => {
    const { a, b, close } = pair(2);
    const event = eventfd();
    a.send(byte, 0, 8, [event, event, event, event, event]);
    expect(b.recv(byte, 0, 64)).toBe(8);
    expect(b.truncated).toBe(true);
    expect(b.fds).toHaveLength(2);
    for (const fd of b.fds) closeFd(fd);
    a.send(byte, 0, 8);
    expect(b.recv(byte, 0, 64)).toBe(8);
    expect(b.truncated).toBe(false);
    closeFd(event);
    close();
  });

  it("go up to SCM_MAX_FD in one message, and one more is refused before the call", () => {
    const { a, b, close } = pair();
    const event = eventfd();
    const many = Array.from({ length: SCM_MAX_FD }, () => event);
    expect(a.send(byte, 0, 8, many)).toBe(8);
    expect(b.recv(byte, 0, 64)).toBe(8);
    expect(b.fds).toHaveLength(SCM_MAX_FD);
    for (const fd of b.fds) closeFd(fd);
    expect(() => a.send(byte, 0, 8, [...many, event])).toThrow(/254 fds in one message/);
    expect(() => a.send(byte, 0, 8, [9999])).toThrow(/sendmsg.*EBADF/);
    closeFd(event);
    close();
  });

  it("are all dropped for a reader that takes none", () => {
    const { a, b, close } = pair(0);
    const event = eventfd();
    a.send(byte, 0, 8, [event]);
    expect(b.recv(byte, 0, 64)).toBe(8);
    expect(b.truncated).toBe(true);
    expect(b.fds).toHaveLength(0);
    closeFd(event);
    close();
  });

  it("bounds are checked before the kernel sees an address", () => {
    const { a, b, close } = pair();
    for (const [offset, length] of [
      [60, 8],
      [-1, 4],
      [Number.NaN, 4],
    ]) {
      expect(() => a.send(byte, offset, length)).toThrow(LinuxError);
      expect(() => b.recv(byte, offset, length)).toThrow(LinuxError);
    }
    expect(() => b.recv(byte, 0, 0)).toThrow(/EINVAL/);
    expect(a.send(byte, 0, 0)).toBe(0);
    close();
  });
});

describe("fds", () => {
  it("duplicate, stat and close", () => {
    const event = eventfd(3);
    const copy = dupFd(event);
    closeFd(event);
    expect(eventfdRead(copy)).toBe(3);
    closeFd(copy);
    expect(() => closeFd(copy)).toThrow(/close\(fd \d+\): EBADF/);
    expect(() => dupFd(copy)).toThrow(/EBADF/);
    expect(() => fileStat(copy)).toThrow(/fstat\(fd \d+\): EBADF/);
    const folder = openSync("/tmp", "r");
    expect(fileStat(folder).type).toBe("directory");
    closeFd(folder);
    const zero = openSync("/dev/zero", "r");
    expect(fileStat(zero).type).toBe("char");
    closeFd(zero);
    const [a, b] = socketPair();
    expect(fileStat(a).type).toBe("socket");
    closeFd(a);
    closeFd(b);
  });
});
