// The admin queues over plain memory: the drivers' way of using them, delivery order, and what guests can do wrong with every
// register and every descriptor.
import {
  AQ_FLAG_BUF,
  AQ_FLAG_CMP,
  AQ_FLAG_DD,
  AQ_FLAG_ERR,
  AQ_LEN_CRIT,
  AQ_LEN_ENABLE,
  aqDescriptor,
  aqDescriptorCodec,
  decode,
  encode,
} from "@emudev/avf";
import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { AdminQueues } from "../src/control/admin-queue.ts";
import { Counters } from "../src/control/counters.ts";
import { type Bus, ENTRIES, GuestDriver, LAYOUT, until } from "./support/guest-driver.ts";
import { Ram } from "./support/ram.ts";

const DONE = AQ_FLAG_DD | AQ_FLAG_CMP;
const settle = () => new Promise((resolve) => setTimeout(resolve, 2));

let ram: Ram;
let counters: Counters;
let queues: AdminQueues;
let messages: { op: number; data: string }[];
let onMessage: (op: number, data: Uint8Array) => void | Promise<void>;
let interrupts: number;
let driver: GuestDriver;

const hex = (data: Uint8Array) => Buffer.from(data).toString("hex");

/** The registers of the two queues alone. */
function busOf(admin: AdminQueues): Bus {
  const ringOf = (offset: number) =>
    [0x6400, 0x6800, 0x7800, 0x7c00, 0x8400].includes(offset) ? admin.atq : admin.arq;
  const field = (offset: number) => {
    if (offset === 0x6400 || offset === 0x7400) return "head";
    if (offset === 0x8400 || offset === 0x7000) return "tail";
    if (offset === 0x6800 || offset === 0x8000) return "len";
    return offset === 0x7800 || offset === 0x6000 ? "bah" : "bal";
  };
  return {
    read: async (offset) => ringOf(offset)[field(offset)] >>> 0,
    async write(offset, value) {
      const ring = ringOf(offset);
      const name = field(offset);
      if (name === "tail") admin.writeTail(ring, value);
      else if (name === "len") admin.writeLen(ring, value);
      else ring[name] = value;
    },
  };
}

beforeEach(async () => {
  ram = new Ram(LAYOUT.end);
  counters = new Counters();
  messages = [];
  interrupts = 0;
  onMessage = () => {};
  queues = new AdminQueues(
    ram,
    {
      async message(op, data) {
        messages.push({ op, data: hex(data) });
        await onMessage(op, data);
      },
      arqEvent: () => interrupts++,
    },
    counters,
  );
  driver = new GuestDriver(busOf(queues), ram.bytes);
  await driver.initQueues();
});

describe("the send queue", () => {
  test("a message arrives with its data; the descriptor is completed and ATQH passes it before it takes effect", async () => {
    let headThen = -1;
    onMessage = () => {
      headThen = queues.atq.head;
    };
    const index = await driver.send(3, Uint8Array.of(1, 2, 3, 4));
    const descriptor = await driver.done(index);
    expect(messages).toEqual([{ op: 3, data: "01020304" }]);
    expect(headThen).toBe(1);
    expect(descriptor.flags & (DONE | AQ_FLAG_ERR)).toBe(DONE);
    expect(descriptor).toMatchObject({ retval: 0, opcode: 0x0801, cookieHigh: 3, datalen: 4 });
  });

  test("a message without a buffer, and the ring goes round more than once", async () => {
    for (let i = 0; i < 3 * ENTRIES; i++) await driver.done(await driver.send(100 + i));
    expect(messages.map(({ op }) => op)).toEqual(Array.from({ length: 3 * ENTRIES }, (_, i) => 100 + i));
  });

  test("messages are dealt with one after another", async () => {
    const log: string[] = [];
    onMessage = async (op) => {
      log.push(`begin ${op}`);
      await settle();
      log.push(`end ${op}`);
    };
    await driver.send(1);
    await driver.done(await driver.send(2));
    await until(() => log.length === 4, "not dealt with");
    expect(log).toEqual(["begin 1", "end 1", "begin 2", "end 2"]);
  });

  test("opcodes: version is answered, an unknown one is ESRCH, shutdown turns both queues off", async () => {
    expect(await driver.command({ opcode: 0x0001 })).toMatchObject({ retval: 0 });
    const unknown = await driver.command({ opcode: 0x0777 });
    expect(unknown.retval).toBe(3);
    expect(unknown.flags & AQ_FLAG_ERR).toBe(AQ_FLAG_ERR);
    expect(counters.aqUnknownOpcodes).toBe(1);
    expect(await driver.command({ opcode: 0x0003, param0: 1 })).toMatchObject({ retval: 0 });
    expect([queues.atq.len, queues.arq.len]).toEqual([0, 0]);
    await driver.initQueues();
    await driver.done(await driver.send(1));
    expect(messages).toHaveLength(1);
  });

  test.each([
    ["longer than a buffer", { datalen: 4097 }, 14],
    ["of length 0", { datalen: 0 }, 14],
    ["outside guest memory", { datalen: 8, address: 1n << 40n }, 11],
    ["across the end of guest memory", { datalen: 8, address: BigInt(LAYOUT.end - 4) }, 11],
    ["at the end of all addresses", { datalen: 8, address: 0xffff_ffff_ffff_fffcn }, 11],
  ])("a buffer %s is refused by return code, and the queue goes on", async (_what, fields, retval) => {
    const bad = await driver.command({ opcode: 0x0801, cookieHigh: 1, flags: AQ_FLAG_BUF, address: 4096n, ...fields });
    expect(bad.retval).toBe(retval);
    expect(bad.flags & AQ_FLAG_ERR).toBe(AQ_FLAG_ERR);
    expect(counters.aqBadDescriptors).toBe(1);
    await driver.done(await driver.send(9));
    expect(messages.map(({ op }) => op)).toEqual([9]);
  });

  test("a ring outside guest memory is a critical error, until the queue is set up again", async () => {
    await driver.write("VF_ATQBAH1", 0x7fff_ffff);
    await driver.send(1);
    await until(() => counters.aqFaults === 1, "no fault");
    expect(queues.atq.len & AQ_LEN_CRIT).toBe(AQ_LEN_CRIT);
    await driver.initQueues();
    await driver.done(await driver.send(1));
    expect(messages).toHaveLength(1);
  });

  test.each([
    ["length 0", "VF_ATQLEN1", AQ_LEN_ENABLE, "aqBadQueues"],
    ["a length below the tail", "VF_ATQLEN1", AQ_LEN_ENABLE | 4, "aqBadTails"],
    ["a head outside", "VF_ATQH1", 1000, "aqBadQueues"],
    ["an unaligned base", "VF_ATQBAL1", 0x1001, "aqBadQueues"],
  ] as const)("%s stops the queue and is counted", async (_what, register, value, counter) => {
    await driver.write(register, value);
    await driver.write("VF_ATQT1", 5);
    await settle();
    expect(counters[counter]).toBe(1);
    expect(counters.aqCommands).toBe(0);
  });

  test("a reset in the middle makes the command void: nothing is written back", async () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    ram.before = (access) => (access.startsWith("read 0x1000") ? held : undefined);
    await driver.send(1);
    queues.hold(false);
    release();
    await settle();
    expect(messages).toEqual([]);
    expect(ram.log.filter((access) => access.startsWith("write"))).toEqual([]);
    ram.before = () => {};
    queues.release();
    await driver.initQueues();
    await driver.done(await driver.send(2));
    expect(messages.map(({ op }) => op)).toEqual([2]);
  });

  test("in a reset by the driver ATQH stays, the length reads 0 and cannot be written", async () => {
    onMessage = () => queues.hold(false);
    await driver.done(await driver.send(2));
    expect(queues.atq.head).toBe(driver.ntu);
    await driver.write("VF_ATQLEN1", (AQ_LEN_ENABLE | 32) >>> 0);
    expect(await driver.read("VF_ATQLEN1")).toBe(0);
    queues.hold(true);
    expect(queues.atq.head).toBe(0);
  });

  test("a full ring of the largest size lets the event loop have its turns", async () => {
    await driver.write("VF_ATQLEN1", (AQ_LEN_ENABLE | 1023) >>> 0);
    await driver.write("VF_ATQBAL1", 0x40000);
    for (let i = 0; i < 1023; i++)
      ram.bytes.set(encode(aqDescriptorCodec, aqDescriptor({ opcode: 0x0801, cookieHigh: i })), 0x40000 + 32 * i);
    let turns = 0;
    const tick = () => {
      turns++;
      if (counters.aqCommands < 1022) setImmediate(tick);
    };
    setImmediate(tick);
    await driver.write("VF_ATQT1", 1022);
    await until(() => counters.aqCommands === 1022, "not done");
    expect(turns).toBeGreaterThan(10);
  });
});

describe("the receive queue", () => {
  test("buffer, then descriptor, then head, then interrupt; in order", async () => {
    ram.log.length = 0;
    const seen: string[] = [];
    ram.before = (access) => void seen.push(`${access} head ${queues.arq.head} interrupts ${interrupts}`);
    queues.send(3, 0, Uint8Array.of(7, 7));
    await queues.idle();
    expect(seen).toEqual([
      "read 0x2000+32 head 0 interrupts 0",
      "write 0x40000+2 head 0 interrupts 0",
      "write 0x2000+32 head 0 interrupts 0",
    ]);
    expect([queues.arq.head, interrupts]).toEqual([1, 1]);
    const descriptor = decode(aqDescriptorCodec, ram.bytes.subarray(0x2000))!;
    expect(descriptor).toMatchObject({ flags: 0x1003, opcode: 0x0802, datalen: 2, cookieHigh: 3, cookieLow: 0 });
    queues.send(4, -64, new Uint8Array(0));
    queues.send(5, 0, new Uint8Array(600));
    await queues.idle();
    expect(await driver.receive()).toEqual({ op: 3, status: 0, data: Uint8Array.of(7, 7) });
    expect(await driver.receive()).toMatchObject({ op: 4, status: -64 });
    const large = decode(aqDescriptorCodec, ram.bytes.subarray(LAYOUT.arq + 64))!;
    expect(large.flags).toBe(0x1203);
    expect((await driver.receive())?.data).toHaveLength(600);
  });

  test("without a free descriptor messages wait, a bounded number of them", async () => {
    for (let i = 0; i < 200; i++) queues.send(i, 0, Uint8Array.of(i));
    await queues.idle();
    expect(counters.arqMessages).toBe(ENTRIES - 1);
    const got: number[] = [];
    for (let answer = await driver.receive(); answer !== null; answer = await driver.receive()) {
      got.push(answer.op);
      await queues.idle();
    }
    expect(got).toEqual(Array.from({ length: got.length }, (_, i) => i));
    expect(got.length + counters.arqDropped).toBe(200);
    expect(counters.arqDropped).toBeGreaterThan(100);
  });

  test("a buffer that is too small gets the op with an error and no data", async () => {
    new DataView(ram.bytes.buffer).setUint16(LAYOUT.arq + 4, 4, true);
    queues.send(3, 0, new Uint8Array(36));
    await queues.idle();
    expect(await driver.receive()).toEqual({ op: 3, status: -18, data: new Uint8Array(0) });
    expect(counters.arqDropped).toBe(1);
  });

  test("a buffer or a ring outside guest memory is a critical error and hangs nothing", async () => {
    new DataView(ram.bytes.buffer).setUint32(LAYOUT.arq + 24, 0xffff_ffff, true);
    queues.send(3, 0, new Uint8Array(36));
    await queues.idle();
    expect([counters.aqFaults, queues.arq.head, interrupts]).toEqual([1, 0, 0]);
    expect(queues.arq.len & AQ_LEN_CRIT).toBe(AQ_LEN_CRIT);
  });

  test("off means that nobody listens: messages are dropped, also those that waited", async () => {
    await driver.write("VF_ARQT1", 0);
    queues.send(1, 0, new Uint8Array(0));
    await driver.write("VF_ARQLEN1", 0);
    queues.send(2, 0, new Uint8Array(0));
    await driver.initQueues();
    await queues.idle();
    expect(await driver.receive()).toBeNull();
  });
});

test("whatever a guest writes to the registers and rings, the queues neither hang nor throw", async () => {
  const value = fc.oneof(
    fc.constantFrom(0, 1, 31, 32, 1023, 0x1000, 0x2000, 0xffff_ffff, (AQ_LEN_ENABLE | 32) >>> 0, AQ_LEN_ENABLE >>> 0),
    fc.integer({ min: 0, max: 0xffff_ffff }),
  );
  const parts = ["H1", "T1", "LEN1", "BAL1", "BAH1"] as const;
  const write = fc.record({
    queue: fc.constantFrom("ATQ" as const, "ARQ" as const),
    part: fc.constantFrom(...parts),
    value,
  });
  onMessage = (op, data) => queues.send(op, 0, data);
  await fc.assert(
    fc.asyncProperty(
      fc.array(write, { maxLength: 40 }),
      fc.uint8Array({ minLength: 0, maxLength: 2048 }),
      async (writes, dirt) => {
        ram.bytes.set(dirt, LAYOUT.atq);
        ram.bytes.set(dirt, LAYOUT.arq);
        for (const { queue, part, value: v } of writes) {
          const masked = part === "H1" || part === "T1" ? v & 0x3ff : v;
          await driver.write(`VF_${queue}${part}`, masked);
        }
        await settle();
      },
    ),
    { numRuns: 100 },
  );
  ram.bytes.fill(0);
  await driver.initQueues();
  messages.length = 0;
  await driver.done(await driver.send(42));
  expect(messages).toEqual([{ op: 42, data: "" }]);
});
