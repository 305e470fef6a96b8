// net_ring: packets sent on a queue are received on a queue, through a ring. Alone, a port receives what it sent
// itself; two ports that name the same `rings=` are crossed like two ends of a cable. After DPDK's driver of that name.
import type { DevargsOf, Eal } from "@emudev/eal";
import { mbufFree, RING_F_SC_DEQ, RING_F_SP_ENQ, Ring } from "@emudev/shm";
import { KIND_RING, SQ_RING } from "../layout/queue.ts";
import { softDriver } from "./driver.ts";
import { SoftEthdevError } from "./errors.ts";
import { SoftPort } from "./soft-port.ts";

const PARAMS = {
  rings: { type: "string", help: "name of the cable that two ports share; without it a port is connected to itself" },
  size: {
    type: "uint",
    min: 64,
    max: 65_536,
    default: 1024,
    help: "slots of each ring; of two ports on a cable the first one's counts",
  },
} as const;

const QUEUES = 16;

/** A cable: the rings in each direction, and which of its ends are taken. */
interface Cable {
  name: string;
  rings: Ring[][];
  ends: Set<number>;
}
const cables = new Map<string, Cable>();

function plug(eal: Eal, name: string, size: number, directions: number): { cable: Cable; end: number } {
  let cable = cables.get(name);
  if (cable === undefined) {
    cable = { name, rings: makeRings(eal, name, size, directions), ends: new Set() };
    cables.set(name, cable);
  }
  const end = [0, 1].slice(0, directions).find((candidate) => !cable.ends.has(candidate));
  if (end === undefined)
    throw new SoftEthdevError("DEVARGS", `${name} has both its ends taken; a cable connects two ports`);
  cable.ends.add(end);
  return { cable, end };
}

/** All or none. */
function makeRings(eal: Eal, name: string, size: number, directions: number): Ring[][] {
  const rings: Ring[][] = [];
  try {
    for (let direction = 0; direction < directions; direction++) {
      const queues: Ring[] = [];
      rings.push(queues);
      for (let queue = 0; queue < QUEUES; queue++)
        queues.push(Ring.create(eal.arena, `${name}.${direction}.${queue}`, size, RING_F_SP_ENQ | RING_F_SC_DEQ));
    }
    return rings;
  } catch (error) {
    for (const ring of rings.flat()) ring.free();
    throw error;
  }
}

/** The last end takes the rings with it, and what still lies in them. */
function unplug(eal: Eal, cable: Cable, end: number): void {
  cable.ends.delete(end);
  if (cable.ends.size > 0) return;
  cables.delete(cable.name);
  for (const ring of cable.rings.flat()) {
    for (let mbuf = ring.dequeue(); mbuf !== 0; mbuf = ring.dequeue()) mbufFree(eal.arena, 0, mbuf);
    ring.free();
  }
}

export const ringDriver = softDriver(
  "net_ring",
  PARAMS,
  (vdev, eal, held) => {
    const { rings, size } = vdev.params as DevargsOf<typeof PARAMS>;
    const directions = rings === undefined ? 1 : 2;
    const { cable, end } = plug(eal, rings === undefined ? `${vdev.name}.ring` : `rings.${rings}`, size, directions);
    held.push(() => unplug(eal, cable, end));
    const port = new SoftPort(eal, vdev.name, held, {
      driverName: "net_ring",
      kind: KIND_RING,
      queues: QUEUES,
      speedMbps: 10_000,
      maxFrame: 65_535,
      setUp(side, queue, off) {
        const direction = side === "rx" ? end : (end + 1) % directions;
        eal.arena.u32[(off + SQ_RING) >>> 2] = cable.rings[direction]![queue]!.off;
      },
    });
    return { port };
  },
  ["eth_ring"],
);
