// What README.md promises a newcomer: the device it shows is the one that is built here, and it works for a vfio-user client
// as it says. (A real guest drives the same device in guest/test/dice.test.ts.)
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { closeFd, eventfd, eventfdRead } from "@emudev/linux";
import { PCI_IRQ, PCI_REGION, VfioUserClient } from "@emudev/vfio-user";
import { afterAll, expect, test } from "vitest";

const root = join(import.meta.dirname, "..");
const folder = mkdtempSync(join(tmpdir(), "emudev-newcomer-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const readme = readFileSync(join(root, "README.md"), "utf8");

test("the device in README.md is the one that is compiled and run here, in at most 60 lines", () => {
  const shown = /```ts\n([\s\S]*?)```/.exec(readme)?.[1];
  expect(shown).toBe(readFileSync(join(root, "test/newcomer/src/dice.ts"), "utf8"));
  expect(shown!.trimEnd().split("\n").length).toBeLessThanOrEqual(60);
});

test("every npm script and every file that README.md names is there", () => {
  const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const named = [...readme.matchAll(/npm (?:run )?(start|test|[a-z]+(?::[a-z]+)?)\b/g)].map((match) => match[1]!);
  expect(named.length).toBeGreaterThan(3);
  for (const script of named) expect(Object.keys(scripts), script).toContain(script);
  for (const [, path] of readme.matchAll(/\]\(([^)#:]+)\)/g)) expect(existsSync(join(root, path!)), path).toBe(true);
});

test("the dice: its identity, its registers, an interrupt for each throw, a reset", async () => {
  const path = join(folder, "dice.sock");
  const program = join(root, "test/newcomer/dist/dice.js");
  const child = spawn(process.execPath, [program, path], { stdio: ["ignore", "pipe", "inherit"] });
  const exited = new Promise((resolve) => child.once("exit", resolve));
  try {
    await new Promise((resolve) => child.stdout.once("data", resolve));
    const client = await VfioUserClient.connect(path);
    const read = async (offset: number): Promise<number> =>
      Buffer.from(await client.regionRead(0, offset, 4)).readUInt32LE();
    const write = (offset: number, value: number): Promise<void> => {
      const data = Buffer.alloc(4);
      data.writeUInt32LE(value);
      return client.regionWrite(0, offset, data);
    };
    const identity = Buffer.from(await client.regionRead(PCI_REGION.CONFIG, 0, 4));
    expect([identity.readUInt16LE(0), identity.readUInt16LE(2)]).toEqual([0x1234, 0xd1ce]);
    const fd = eventfd();
    await client.setIrqs(PCI_IRQ.MSIX, 0, [fd]);
    expect(await read(0)).toBe(6);
    const seen = new Set<number>();
    for (let round = 0; round < 200; round++) {
      await write(4, 1);
      seen.add(await read(8));
    }
    expect([...seen].sort()).toEqual([1, 2, 3, 4, 5, 6]);
    expect(eventfdRead(fd)).toBe(200);
    await write(0, 1);
    await write(4, 1);
    expect(await read(8)).toBe(1);
    await client.reset();
    expect([await read(0), await read(8)]).toEqual([6, 0]);
    closeFd(fd);
    client.close();
  } finally {
    child.kill("SIGTERM");
    expect(await exited).toBe(0);
  }
});
