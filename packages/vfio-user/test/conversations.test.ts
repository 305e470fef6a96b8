// Whole conversations with hostile clients, as data (conversation.ts): the corpus, a good conversation torn and glued at
// every byte, peers that do not read, and what fast-check draws and shrinks. After each the server has no fd, mapping or timer
// of the peer's, and serves a good client. EMUDEV_HOSTILE_SECONDS draws for longer; EMUDEV_SEED, or
// EMUDEV_HOSTILE_SEED, draws others.

import { readFileSync } from "node:fs";
import { Socket } from "node:net";
import { closeFd, fdCount, type Mapping, mapAnywhere, unixConnect, watcherCount } from "@emudev/linux";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Clock, type DmaRegion, SYSTEM_CLOCK, VfioUserClient, VfioUserServer } from "../src/index.ts";
import { type Conversation, converse, corpus, FD_KINDS, FdBox, type Segment } from "./conversation.ts";
import { concat, fields, LogBook, message, newPath, RawPeer, TestDevice, until, versionBody } from "./support.ts";

const SECONDS = Number(process.env.EMUDEV_HOSTILE_SECONDS ?? 0);
const SEED = process.env.EMUDEV_HOSTILE_SEED;

/** Maps what it is given, as devices do. */
class MappingDevice extends TestDevice {
  readonly maps = new Map<bigint, Mapping>();

  override dmaMap({ iova, size, prot, fd, fileOffset }: DmaRegion): void {
    try {
      if (fd >= 0) this.maps.set(iova, mapAnywhere(Number(size), prot, fd, fileOffset));
    } finally {
      if (fd >= 0) closeFd(fd);
    }
  }

  override dmaUnmap(iova: bigint): void {
    this.maps.get(iova)?.unmap();
    this.maps.delete(iova);
  }

  override dmaUnmapAll(): void {
    for (const iova of [...this.maps.keys()]) this.dmaUnmap(iova);
  }
}

/** Knows how many timers are set. */
class CountingClock implements Clock {
  timers = 0;
  now = SYSTEM_CLOCK.now;

  after(ms: number, callback: () => void): () => void {
    let set = true;
    const end = (): void => {
      if (set) this.timers--;
      set = false;
    };
    this.timers++;
    const cancel = SYSTEM_CLOCK.after(ms, () => {
      end();
      callback();
    });
    return () => {
      end();
      cancel();
    };
  }
}

const log = new LogBook();
const clock = new CountingClock();
const device = new MappingDevice();
const box = new FdBox();
const server = new VfioUserServer(newPath(), device, { log, clock });
let held: object;

const holds = (): object => ({
  fds: fdCount(),
  mappings: readFileSync("/proc/self/maps", "utf8").split("memfd:").length,
  watchers: watcherCount(),
  timers: clock.timers,
});

let conversations = 0;
async function talk(conversation: Conversation, enough?: number): Promise<string> {
  conversations++;
  return converse(server.sockAddr, conversation, box, enough);
}

/** Every peer has been seen, has gone, and nothing of it is left. */
async function forgotten(): Promise<void> {
  await until(() => server.stats.connections >= conversations, "every connection");
  await until(() => JSON.stringify(holds()) === JSON.stringify(held), "the state before the conversation");
  expect(server.client).toBe(null);
}

beforeAll(async () => {
  server.start();
  (await VfioUserClient.connect(server.sockAddr)).close();
  await until(() => device.calls.includes("disconnected"));
  held = holds();
  conversations = server.stats.connections;
});

afterAll(async () => {
  await forgotten(); // a soak that ran out of time leaves its last peer
  const client = await VfioUserClient.connect(server.sockAddr);
  expect((await client.getInfo()).numRegions).toBe(9);
  expect((await client.regionRead(0, 0, 4)).length).toBe(4);
  client.close();
  await forgotten();
  await server.stop();
  box.close();
  expect(log.errors).toEqual([]);
});

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const VERSION = message(0, 1, versionBody(0, 0, '{"capabilities":{"max_msg_fds":16}}\0'));
const dmaMap = (id: number, iova: bigint, size = 0x1000n, flags = 3): Uint8Array =>
  message(id, 2, fields(32, flags, 0n, iova, size));

test.each(corpus)("corpus: %s", async (_name, conversation) => {
  await talk(conversation);
  await forgotten();
});

test("a conversation says the same in whatever pieces it comes", async () => {
  const parts: Segment[] = [
    { hex: hex(VERSION) },
    { hex: hex(concat(message(1, 4, fields(16, 0, 0, 0)), message(2, 9, fields(0n, 0, 4)))) },
    { hex: hex(concat(dmaMap(3, 0x1000n), message(4, 7, fields(16, 0, 2, 0)))), fds: ["memfd"] },
    { hex: hex(message(5, 8, fields(20, 0x24, 2, 1, 2))), fds: ["eventfd", "eventfd"] },
    { hex: hex(concat(message(6, 10, fields(4n, 0, 4, 0x12345678)), message(7, 3, fields(24, 0, 0x1000n, 0x1000n)))) },
    { hex: hex(message(8, 13, new Uint8Array(0))) },
  ];
  const expected = await talk({ segments: parts, end: "drain" });
  expect(expected.length).toBeGreaterThan(16 * 9 * 2);
  for (const [index, part] of parts.entries()) {
    for (let cut = 2; cut < part.hex.length; cut += 2) {
      const head: Segment = { ...part, hex: part.hex.slice(0, cut), wait: true };
      const segments = parts.toSpliced(index, 1, head, { hex: part.hex.slice(cut) });
      expect(await talk({ segments, end: "drain" }, expected.length), `${index} cut at ${cut / 2}`).toBe(expected);
    }
  }
  await forgotten();
});

test("a stranger's fds are not kept, however long it takes to say VERSION", async () => {
  const peer = new RawPeer(server.sockAddr);
  conversations++;
  await until(() => server.stats.connections >= conversations);
  const before = fdCount();
  await peer.send(VERSION.subarray(0, 20), Array(253).fill(box.get("memfd", -1)));
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setTimeout(resolve, 1));
  expect(fdCount()).toBe(before);
  peer.close();
  await forgotten();
});

test("1,000 maps in one go, and the client is gone", async () => {
  for (const end of ["drain", "close"] as const) {
    const maps = Array.from({ length: 1000 }, (_, i) => ({ hex: hex(dmaMap(i, BigInt(i) << 12n)), fds: ["memfd"] }));
    await talk({ segments: [{ hex: hex(VERSION) }, ...maps], end });
    await forgotten();
  }
});

test("a peer that never reads is dropped, and the device is somebody else's", async () => {
  const peer = new RawPeer(server.sockAddr);
  conversations++;
  await peer.greet();
  const reads = message(1, 9, fields(0n, 0, 0x10000));
  const batch = concat(...Array.from({ length: 64 }, () => reads));
  await expect(
    (async () => {
      for (;;) await peer.send(batch);
    })(),
  ).rejects.toThrow();
  peer.close();
  await forgotten();
});

test("a half-closed socket is an end like any other, and what was said before it is answered", async () => {
  const fd = unixConnect(server.sockAddr);
  conversations++;
  const socket = new Socket({ fd });
  socket.end(concat(VERSION, message(1, 4, fields(16, 0, 0, 0))));
  const heard: Buffer[] = [];
  for await (const chunk of socket) heard.push(chunk as Buffer);
  expect(Buffer.concat(heard).length).toBeGreaterThan(16);
  await forgotten();
});

test("a peer whose own end is on the way in half a message is seen to leave", async () => {
  const half: Segment = { hex: hex(dmaMap(1, 0n).subarray(0, 20)), fds: ["own"], wait: true };
  for (const start of [[], [{ hex: hex(VERSION) }]]) {
    await talk({ segments: [...start, half], end: "close" });
    await forgotten();
  }
});

test.each([16, 17, 253])("%i fds with one message", async (count) => {
  const fds = Array(count).fill("memfd");
  for (const body of [dmaMap(1, 0n), message(1, 8, fields(20, 0x24, 2, 0, count)), VERSION]) {
    const segments: Segment[] = [
      { hex: hex(VERSION) },
      { hex: hex(body), fds },
      { hex: hex(body.subarray(0, 9)), fds },
    ];
    for (const end of ["drain", "close"] as const) await talk({ segments, end });
  }
  await forgotten();
});

// What fast-check draws.

const fds = fc.array(fc.constantFrom(...FD_KINDS), { maxLength: 3 });
const u32 = fc.oneof(fc.constantFrom(0, 1, 4, 16, 20, 24, 32, 4096, 0xffffffff), fc.nat(64), fc.nat(0xffffffff));
const u64 = fc.oneof(
  fc.constantFrom(0n, 0x1000n, 0x100000n, (1n << 63n) - 1n, (1n << 64n) - 1n),
  fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
);
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 80 }),
  fc.tuple(u32, u32, u64, u64, u64).map((values) => fields(...values)),
  fc.tuple(u32, u32, u32, u32, u32, u32).map((values) => fields(...values)),
  fc.tuple(u64, fc.nat(9), u32, fc.uint8Array({ maxLength: 16 })).map(([at, region, count, data]) => {
    return concat(fields(at & 0xffffn, region, count), data);
  }),
);
const anyMessage = fc
  .record({
    id: fc.nat(5),
    command: fc.oneof(fc.integer({ min: 0, max: 20 }), fc.nat(0xffff)),
    body: bytes,
    flags: fc.constantFrom(0, 0, 0, 0x10, 1, 0x21, 2, 0xf0),
    size: fc.option(u32, { nil: undefined, freq: 10 }),
  })
  .map(({ id, command, body, flags, size }) => message(id, command, body, { flags, size }));
const json = fc.oneof(
  fc.json({ maxDepth: 3 }).map((text) => `{"capabilities":${text}}\0`),
  fc.nat(20_000).map((depth) => `${'{"capabilities":'.repeat(depth)}\0`),
  fc.nat(20_000).map((depth) => `${"[".repeat(depth)}${"]".repeat(depth)}\0`),
  fc.string(),
);
const greeting = fc.oneof(
  { weight: 4, arbitrary: fc.constant(VERSION) },
  fc.tuple(fc.nat(2), u32, json).map(([major, minor, text]) => message(0, 1, versionBody(major, minor & 0xffff, text))),
);
const good = fc.nat(7).chain((id) => fc.constantFrom(dmaMap(id, 0n), dmaMap(id, 0x1000n), message(id, 13, fields())));
const segment = fc
  .record({ what: fc.oneof(anyMessage, good), fds, wait: fc.boolean(), cut: fc.option(fc.nat(100), { freq: 8 }) })
  .map(({ what, fds: lent, wait, cut }) => ({ hex: hex(what.subarray(0, cut ?? what.length)), fds: lent, wait }));
const conversation: fc.Arbitrary<Conversation> = fc.record({
  segments: fc
    .tuple(greeting, fc.array(segment, { maxLength: 10 }))
    .map(([first, rest]) => [{ hex: hex(first) }, ...rest].filter((each) => each.hex !== "")),
  end: fc.constantFrom<Conversation["end"]>("close", "close", "drain"),
});

test(
  "any conversation",
  async () => {
    const longer = { numRuns: 1e9, interruptAfterTimeLimit: 1000 * SECONDS, markInterruptAsFailure: false };
    await fc.assert(
      fc.asyncProperty(conversation, async (drawn) => {
        await talk(drawn);
        await forgotten();
      }),
      { ...(SECONDS > 0 ? longer : { numRuns: 300 }), ...(SEED === undefined ? {} : { seed: Number(SEED) }) },
    );
  },
  60_000 + 1000 * SECONDS,
);
