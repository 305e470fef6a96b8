// Receive side scaling as Linux sets it up: a random key, a table that deals the queues out in turn, all packet classes. What the
// device does with it is its affair; a refusal costs nothing but the spreading, so it is logged and the port goes on.
import { randomBytes } from "node:crypto";
import { VF_CAP } from "@emudev/avf";
import type { Logger } from "@emudev/eal";
import { IavfError, reasonOf } from "./errors.ts";
import type { Requests } from "./requests.ts";
import type { Session } from "./session.ts";

export async function configureRss(session: Session, requests: Requests, queues: number, log: Logger): Promise<void> {
  if (!session.has(VF_CAP.RSS_PF) || queues === 0) return;
  const { rssKeySize, rssLutSize } = session.resources;
  try {
    await requests.setRssKey(randomBytes(rssKeySize));
    await requests.setRssLut(Uint8Array.from({ length: rssLutSize }, (_, i) => i % queues));
    await requests.setRssAllClasses();
  } catch (error) {
    if (!(error instanceof IavfError) || error.code !== "REFUSED") throw error;
    log.warning(`${session.name}: receive side scaling is off: ${reasonOf(error)}`);
  }
}
