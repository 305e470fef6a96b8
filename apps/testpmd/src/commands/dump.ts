// The texts of DPDK's dump commands: lcores with their polling counters, the mempool, memzones, log types.
import {
  formatSet,
  LCORE_BUSY_LOOPS,
  LCORE_LOOPS,
  LCORE_NAP_US,
  LCORE_NAPS,
  LOG_LEVELS,
  type LogLevel,
} from "@emudev/eal";
import type { Pmd } from "../pmd.ts";

export function dumpLcores({ eal }: Pmd): string {
  const lines = eal.lcores.all.map((lcore) => {
    const role = lcore === eal.lcores.main ? "RTE" : "RTE_WORKER";
    const at = (field: number): number => eal.arena.counter(lcore.off + field);
    const polling = `loops ${at(LCORE_LOOPS)}, busy ${at(LCORE_BUSY_LOOPS)}`;
    const napping = `naps ${at(LCORE_NAPS)}, napped ${Math.round(at(LCORE_NAP_US) / 1000)} ms`;
    return `lcore ${lcore.id}, role ${role}, ${lcore.state}, cpuset ${formatSet(lcore.cpus)}, ${polling}, ${napping}`;
  });
  return `${lines.join("\n")}\n`;
}

export function dumpMempool({ ports }: Pmd): string {
  const pool = ports.pool();
  return [
    "mempool <mb_pool_0>",
    `  size=${pool.size}`,
    `  populated_size=${pool.size}`,
    `  elt_size=${pool.eltSize}`,
    `  cache_size=${pool.cacheSize}`,
    `  common_pool_count=${pool.availCount()}`,
    `  in_use_count=${pool.inUseCount()}`,
    `  get_fail_objs=${pool.exhausted()}`,
    "",
  ].join("\n");
}

export function dumpMemzones({ eal }: Pmd): string {
  const lines = eal.arena.memzones().map(({ name, off, bytes }, i) => {
    return `Zone ${i}: name:<${name}>, len:0x${bytes.toString(16)}, off:0x${off.toString(16)}`;
  });
  return `${lines.join("\n")}\n`;
}

export function dumpLogTypes({ eal }: Pmd): string {
  const nameOf = (level: number): string =>
    (Object.keys(LOG_LEVELS) as LogLevel[]).find((name) => LOG_LEVELS[name] === level) ?? "disabled";
  const lines = eal.logs.list().map(({ name, level }) => `${name}, level ${nameOf(level)}`);
  return `${lines.join("\n")}\n`;
}
