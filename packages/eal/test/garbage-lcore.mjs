// A process of garbage.test.ts: an lcore that polls, idle (argument 0) or with its turns timed (argument 1), and says so after every
// ROUND turns. An object a turn would have garbage collected several times in each.
import { writeSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { ealInit, recordCoreCycles } from "@emudev/eal";
import { pollLoop } from "@emudev/eal/data";
import { getAffinity } from "@emudev/linux";

const ROUND = 200_000;
const ROUNDS = 100;

export function main(env, moved) {
  let turns = 0;
  pollLoop(env, () => {
    turns = (turns + 1) | 0;
    if (turns % ROUND === 0) writeSync(1, turns === ROUND * ROUNDS ? "LAST\n" : "ROUND\n");
    return moved;
  });
}

if (pathToFileURL(process.argv[1]).href === import.meta.url) {
  const cpu = getAffinity().at(-1);
  const args = ["--in-memory", "-m", "64", "--lcores", `0@${cpu},1@${cpu}`, "--poll-mode=busy"];
  const env = await ealInit(args, { drivers: [] });
  const moved = Number(process.argv[2]);
  recordCoreCycles(env.arena, env.lcores.workers, moved !== 0);
  process.stdin.on("end", () => env.cleanup()).resume();
  await env.lcores.launch(1, { module: import.meta.url, arg: moved });
}
