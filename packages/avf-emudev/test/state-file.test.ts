// The file of state=: what a process leaves when it dies in the middle of a save, and what becomes of a file that was damaged
// anywhere. Either it is told, with what to do about it, or what was damaged is of no account: never half a state.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { loadPlace, QPOS_BYTES, storePlace } from "@emudev/emudev";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { FILE_BYTES, NEWEST_AT, PLACES_AT, readFile, SLOT_BYTES, slotAt } from "../src/control/state/file-layout.ts";
import type { takeState } from "../src/control/state/snapshot.ts";
import { StateFile } from "../src/control/state/state-file.ts";
import { EmuIavfError } from "../src/index.ts";
import { bringUp } from "./support/bring-up.ts";
import { eal, endEal, Guest, makeRig, socketPath } from "./support/device-rig.ts";

const SEED = Number(process.env.EMUDEV_SEED ?? 11);
const path = socketPath();
let whole: Uint8Array;
let newest: number;
let untouched: unknown;
afterAll(endEal);

/** A file of a device whose driver has queue pair 0 enabled. */
beforeAll(async () => {
  const rig = await makeRig(`,queues=2,state=${path}`);
  const guest = await Guest.connect(rig.path);
  await bringUp(guest, 3);
  rig.device.positions.set(0, 33);
  rig.device.positions.set(1, 5);
  whole = readFileSync(path); // as a kill would leave it
  const kept = readFile(whole);
  if ("wrong" in kept) throw new Error(kept.wrong);
  ({ newest } = kept);
  untouched = meaning(whole);
  guest.close();
  await rig.end();
});

/** What a device would go on with; null = it is refused. */
function meaning(bytes: Uint8Array): unknown {
  const kept = readFile(bytes);
  if ("wrong" in kept) {
    expect(kept.wrong).not.toBe("");
    return null;
  }
  const word = (at: number) => Buffer.from(bytes.buffer, bytes.byteOffset).readBigUInt64LE(at);
  const places = [0, 1].map((queue) => [0, 8].map((at) => word(PLACES_AT + queue * QPOS_BYTES + at)));
  return { state: kept.state, places };
}

function harmless(damaged: Uint8Array): void {
  const after = meaning(damaged);
  if (after !== null) expect(after).toEqual(untouched);
}

test("damage at every byte is told or harmless", () => {
  const used = slotAt(newest) + 8 + 48 + Buffer.from(whole).readUInt32LE(slotAt(newest) + 8 + 12);
  const file = Uint8Array.from(whole);
  const expected = JSON.stringify(readFile(whole));
  let told = 0;
  let random = SEED;
  const damage = (at: number): void => {
    random = (Math.imul(random, 1664525) + 1013904223) >>> 0;
    const old = file[at]!;
    file[at] = old ^ ((random >>> 24) % 255 || 1);
    const kept = readFile(file);
    if ("wrong" in kept) told++;
    else if (at < PLACES_AT + 2 * QPOS_BYTES) expect(meaning(file)).toEqual(untouched);
    else if (JSON.stringify(kept) !== expected) throw new Error(`byte ${at} of ${file.length} makes another state`);
    file[at] = old;
  };
  for (let at = 0; at < slotAt(0); at += at < 64 || (at >= PLACES_AT && at < NEWEST_AT + 8) ? 1 : 15) damage(at);
  for (let at = slotAt(newest); at < used + 16; at++) damage(at);
  for (let at = slotAt(newest + 1); at < slotAt(newest + 1) + 256; at++) damage(at);
  expect(told).toBeGreaterThan(used - slotAt(newest));
});

test("blocks that are lost, swapped or cut off are told or harmless", () => {
  const blocks = FILE_BYTES / 512;
  const harm = fc.oneof(
    fc.record({ kind: fc.constant("zero" as const), at: fc.nat(40), n: fc.integer({ min: 1, max: 16 }) }),
    fc.record({ kind: fc.constant("copy" as const), at: fc.nat(40), n: fc.nat(blocks - 1) }),
    fc.record({ kind: fc.constant("cut" as const), at: fc.nat(blocks - 1), n: fc.nat(511) }),
    fc.record({ kind: fc.constant("longer" as const), at: fc.constant(0), n: fc.integer({ min: 1, max: 8192 }) }),
  );
  fc.assert(
    fc.property(harm, fc.boolean(), ({ kind, at, n }, inSlot) => {
      let file = Uint8Array.from(whole);
      const from = 512 * at + (inSlot && kind !== "cut" ? slotAt(newest) : 0);
      if (kind === "zero") file.fill(0, from, from + 512 * n);
      else if (kind === "copy") file.copyWithin(from, 512 * n, 512 * n + 512);
      else if (kind === "cut") file = file.slice(0, from + n);
      else file = Buffer.concat([file, new Uint8Array(n)]);
      if (kind === "cut" || kind === "longer") expect(meaning(file)).toBeNull();
      else harmless(file);
    }),
    { seed: SEED, numRuns: 300 },
  );
});

test("a process that dies at any byte of a save leaves the state before it", () => {
  const base = readFileSync(path);
  const before = meaning(base);
  expect(before).not.toBeNull();
  const file = StateFile.open(path, eal.arena);
  try {
    const next = { ...file.found!, vlans: [7] };
    file.save(next);
    const saved = readFileSync(path);
    const at = slotAt(Buffer.from(saved).readUInt32LE(NEWEST_AT));
    expect((meaning(saved) as { state: unknown }).state).toEqual(next);
    for (let bytes = 0; bytes < 12_000; bytes += bytes < 80 ? 1 : 97) {
      const torn = Uint8Array.from(saved);
      torn.set(base.subarray(PLACES_AT, PLACES_AT + 4096), PLACES_AT);
      torn.set(base.subarray(at + bytes, at + SLOT_BYTES), at + bytes);
      expect(meaning(torn)).toEqual(before);
    }
  } finally {
    file.close();
  }
});

test("positions and states outlive the file's mapping; forget() forgets", () => {
  const file = socketPath();
  const first = StateFile.open(file, eal.arena);
  expect(first.found).toBeNull();
  expect(first.holds).toBe(false);
  expect(loadPlace(eal.arena, first.positionsOff)).toEqual({ done: 0, next: 0 });
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const { state } = meaning(whole) as { state: ReturnType<typeof takeState> };
  for (let i = 0; i < 5; i++) {
    storePlace(eal.arena, first.positionsOff, i);
    storePlace(eal.arena, first.positionsOff + QPOS_BYTES, 2 * i);
    first.save({ ...state, vlans: [i] });
  }
  first.close();
  const second = StateFile.open(file, eal.arena);
  expect(second.found).toEqual({ ...state, vlans: [4] });
  expect(loadPlace(eal.arena, second.positionsOff + QPOS_BYTES)).toEqual({ done: 8, next: 8 });
  second.forget();
  second.close();
  const third = StateFile.open(file, eal.arena);
  expect(third.found).toBeNull();
  third.close();
});

test("one that is truncated while it is in use keeps nothing any more, is left as it is, and nobody is killed for it", () => {
  for (const bytes of [0, 100, 9000, FILE_BYTES - 1]) {
    const name = socketPath();
    writeFileSync(name, whole);
    const file = StateFile.open(name, eal.arena);
    expect(file.holds).toBe(true);
    truncateSync(name, bytes);
    const told = expect.objectContaining({
      code: "STATE_DAMAGED",
      message: expect.stringMatching(/truncated.*remove/),
    });
    expect(() => file.save(file.found!)).toThrow(told);
    expect(file.holds).toBe(false);
    file.forget();
    expect(statSync(name).size).toBe(bytes);
    truncateSync(name, FILE_BYTES); // its owner has second thoughts; the positions are gone all the same
    expect(() => file.save(file.found!)).toThrow(told);
    truncateSync(name, bytes);
    file.close();
    if (bytes !== 0)
      expect(() => StateFile.open(name, eal.arena)).toThrow(expect.objectContaining({ code: "STATE_DAMAGED" }));
    else StateFile.open(name, eal.arena).close();
  }
});

test("what is no state file is refused with what to do about it", () => {
  const folder = socketPath();
  mkdirSync(folder);
  const fifo = socketPath();
  execFileSync("mkfifo", [fifo]);
  const file = (bytes: Uint8Array): string => {
    const name = socketPath();
    writeFileSync(name, bytes);
    return name;
  };
  const damaged = Uint8Array.from(whole);
  damaged[slotAt(newest) + 100]! ^= 1;
  const refusals: [string, string, string][] = [
    [folder, "STATE_FILE", "see to its folder and rights"],
    [`${folder}/none/file`, "STATE_FILE", "see to its folder and rights"],
    [fifo, "STATE_FILE", "no ordinary file"],
    [file(Buffer.from("something else")), "STATE_DAMAGED", "remove the file"],
    [file(new Uint8Array(FILE_BYTES).fill(1)), "STATE_DAMAGED", "remove the file"],
    [file(whole.subarray(0, 9000)), "STATE_DAMAGED", "remove the file"],
    [file(damaged), "STATE_DAMAGED", "remove the file"],
  ];
  for (const [name, code, advice] of refusals) {
    const before = name === folder || name.includes("none") || name === fifo ? null : readFileSync(name);
    expect(() => StateFile.open(name, eal.arena)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(new RegExp(`${name}.*${advice}`)) }),
    );
    if (before !== null) expect(readFileSync(name).equals(before)).toBe(true); // it is left as it is
  }
  for (const bytes of [new Uint8Array(0), new Uint8Array(FILE_BYTES)]) {
    const name = file(bytes);
    StateFile.open(name, eal.arena).close(); // its making was interrupted
    expect(readFileSync(name)).toHaveLength(FILE_BYTES);
  }
  const held = file(whole);
  const holder = StateFile.open(held, eal.arena);
  expect(() => StateFile.open(held, eal.arena)).toThrow(EmuIavfError);
  holder.close();
});
