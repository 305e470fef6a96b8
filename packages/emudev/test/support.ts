// What the tests of this package share: an arena of their own and a provider that does nothing.
import { Arena, Qsbr } from "@emudev/shm";
import type { EmuDevOps } from "../src/index.ts";
import { AttributeStore, EmuDevMemTable } from "../src/index.ts";

export const arena = Arena.create({ ownBytes: 64 * 2 ** 20 });
export const qsbr = Qsbr.create(arena, "test");

let tables = 0;
export const makeTable = (opts: { windows?: number } = {}): EmuDevMemTable =>
  new EmuDevMemTable(arena, qsbr, `t${tables++}`, { onDemand: true, ...opts });

/** A provider whose operations note their calls. */
export function fakeOps(calls: string[] = [], over: Partial<EmuDevOps> = {}): EmuDevOps {
  const attrs = new AttributeStore();
  const note = (name: string) => (): void => void calls.push(name);
  return {
    devStart: note("start"),
    devStop: note("stop"),
    devConfigure: note("configure"),
    devClose: note("close"),
    getDevInfo: () => ({ devType: "test", maxQpNum: 2, maxEventNum: 3 }),
    subscribeEvent: note("subscribe"),
    unsubscribeEvent: note("unsubscribe"),
    getMemTable: () => makeTable(),
    getQueueInfo: () => null,
    getIrqInfo: () => null,
    getDbInfo: () => null,
    getAttr: (_dev, name) => attrs.get(name),
    setAttr: (_dev, name, value) => void attrs.set(name, value, "backend"),
    regionMap: (_dev, name, bytes, base) => void calls.push(`region ${name} ${bytes} ${base}`),
    ...over,
  };
}
