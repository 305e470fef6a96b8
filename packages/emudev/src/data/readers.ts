// Which lcores read a device's memory table: each says so before its first burst, so that windows and tables that go wait for
// these alone (control/mem-publish.ts). Called by backends' data modules when a queue is opened.
import type { LcoreEnv } from "@emudev/eal/data";
import { MEM_WORD_READERS } from "../layout/mem-table.ts";

/**
 * This lcore may read the table from now on. Before it loads the table's word for the first time: who has swapped that looks
 * at the readers afterwards.
 * @param word arena offset of the word that holds the table's offset, 0 = none
 */
export function announceReader(env: LcoreEnv, word: number): void {
  if (word !== 0) Atomics.or(env.arena.i32, (word + MEM_WORD_READERS) >>> 2, 1 << env.index);
}
