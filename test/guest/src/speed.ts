// What a guest gets from its NIC, for the benches: one guest on a TAP, as in test b, and in each round 50 pings and 16 MiB over
// TCP each way, whose sha256 must be equal. Argument: rounds. Prints a line of JSON a round: { pingUs, toGuest, fromGuest }, a
// ping's mean round trip and megabytes a second; or { missing }, why this machine cannot.
import { ensureLab } from "./fetch.ts";
import { LabError } from "./lab-error.ts";
import { noTap } from "./machine.ts";
import { Scene } from "./scene.ts";
import { transfer } from "./tcp-transfer.ts";

const HOST = "10.0.0.1";
const PINGS = 50;
const BYTES = 16 << 20;

async function rounds(set: Scene, count: number): Promise<void> {
  const netns = set.netns();
  const eal = [...set.avf(), "--vdev=net_tap0,iface=tap0"];
  await set.testpmd({ eal, app: ["--forward-mode=io"], prefix: netns.prefix });
  netns.up("tap0", `${HOST}/24`);
  const guest = await set.boot({ name: "speed" });
  await guest.nicUp(0, "10.0.0.2/24");
  for (let round = 0; round < count; round++) {
    const text = await guest.ok(`ping -q -c ${PINGS} -i 0.01 ${HOST}`);
    const [, received, mean] =
      /(\d+) packets received.*round-trip min\/avg\/max = [\d.]+\/([\d.]+)\//s.exec(text) ?? [];
    if (Number(received) !== PINGS) throw new LabError("COMMAND", `not every ping came back: ${text}`);
    const moved = await transfer(guest, netns, HOST, BYTES);
    if (moved.guest !== moved.sent || moved.received !== moved.sent)
      throw new LabError("COMMAND", `what was moved is not what was sent: ${JSON.stringify(moved)}`);
    const rate = (seconds: number): number => BYTES / 1e6 / seconds;
    const { toGuest, fromGuest } = moved.seconds;
    console.log(JSON.stringify({ pingUs: 1000 * Number(mean), toGuest: rate(toGuest), fromGuest: rate(fromGuest) }));
  }
}

const missing = noTap();
if (missing !== null) {
  console.log(JSON.stringify({ missing }));
} else {
  const set = new Scene(await ensureLab({ say: console.error }));
  try {
    await rounds(set, Number(process.argv[2] ?? 1));
  } finally {
    const disorder = await set.close();
    if (disorder !== null) console.error(disorder);
  }
}
