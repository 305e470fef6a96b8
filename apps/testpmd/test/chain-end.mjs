// One end of the chain of chain.test.ts, a process of its own: a net_iavf port, polled by an lcore that numbers what it sends and
// checks what it gets (chain-lcore.mjs). Told what to do by its parent's messages: argv is the port's devargs, its queues and
// the arguments of the EAL.
import { ealInit } from "@emudev/eal";
import { ethDev } from "@emudev/ethdev";
import { drivers } from "@emudev/iavf-ethdev";
import { Mempool } from "@emudev/shm";
import { COUNTERS, QUEUE_BYTES, SEND } from "./chain-lcore.mjs";

const [devargs, queues, ...argv] = process.argv.slice(2);
const count = Number(queues);
const eal = await ealInit(["--in-memory", "-m", "64", ...argv, `--vdev=${devargs}`], { drivers });
const { arena } = eal;
const port = ethDev(0);
const pool = (name) => Mempool.createPktmbuf(arena, name, { n: 2048 });
const { off: words } = arena.memzoneReserve("chain_words", (count + 1) * QUEUE_BYTES, 64);
const { off: scratch } = arena.memzoneReserve("chain_scratch", (count + 1) * 128, 64);
const events = [];
for (const name of ["rmv", "reset", "errRecovering", "recoveryFailed"]) port.on(name, () => events.push(name));

await port.configure(count, count);
const receivePool = pool("receive");
const sendPool = pool("send");
for (let q = 0; q < count; q++) {
  await port.rxQueueSetup(q, 512, receivePool);
  await port.txQueueSetup(q, 512);
}
await port.start();
const arg = { port: port.dataPort(), words, pool: sendPool.off, scratch };
eal.lcores.launch(1, { module: new URL("./chain-lcore.mjs", import.meta.url).href, arg }).catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});

const counters = (q) =>
  Object.fromEntries(COUNTERS.map((name, i) => [name, arena.f64[((words + QUEUE_BYTES * (q + 1)) >>> 3) + i]]));

async function answer(what) {
  if (what === "send" || what === "rest") {
    Atomics.store(arena.i32, (words + SEND) >>> 2, what === "send" ? 1 : 0);
    return true;
  }
  if (what === "end") {
    eal.lcores.stop(1);
    await eal.lcores.wait(1);
    await port.stop();
    return { inUse: receivePool.inUseCount() + sendPool.inUseCount() };
  }
  const queues = Array.from({ length: count }, (_, q) => counters(q));
  const stats = port.statsGet();
  return { connection: port.connectionGet(), up: port.linkGet().up, queues, events, stats, xstats: port.xstatsGet() };
}

process.on("message", async ({ id, what }) => process.send({ id, answer: await answer(what) }));
process.on("disconnect", () => process.exit(0));
process.send({ id: 0, answer: true });
