// What the checks need to know of a device before they ask it odd things: asked once, as a well-behaved client would.
import { ERRNO } from "@emudev/vfio-user";
import { VfuError } from "../errors.ts";
import { printable } from "../names.ts";
import { whyNot } from "../target.ts";
import { getInfo, getIrqInfo, getRegionInfo, versionBody } from "./bytes.ts";
import { Mismatch } from "./check.ts";
import { type Facts, OFFER, Probe, succeeded } from "./probe.ts";

/** Regions and interrupt indexes that are looked at. */
const MANY = 64;

const NOTHING: Facts = { minor: 0, capabilities: {}, flags: 0, regions: [], irqs: [], pid: 0 };

/** @throws VfuError TARGET when it answers a question that every server must answer with something else */
export async function gatherFacts(socket: string, timeoutMs: number): Promise<Facts> {
  const probe = new Probe(socket, NOTHING, { timeoutMs, waitMs: 0 });
  try {
    const peer = await probe.raw();
    const ask = async (command: number, body: Uint8Array, least: number) => {
      const reply = succeeded(await probe.exchange(peer, command, body));
      if (reply.body.byteLength < least) throw new Mismatch(`${least} bytes`, `${reply.body.byteLength}`);
      return reply;
    };
    const first = await probe.exchange(peer, 1, versionBody(0, 1, `${OFFER}\0`));
    if (first.kind === "reply" && first.errno === ERRNO.EBUSY) throw { code: "VFU_REFUSED", errno: ERRNO.EBUSY };
    const version = succeeded(first);
    if (version.body.byteLength < 4) throw new Mismatch("4 bytes", `${version.body.byteLength}`);
    const info = await ask(4, getInfo(), 16);
    const regions: Facts["regions"][number][] = [];
    for (let index = 0; index < Math.min(info.body.getUint32(8, true), MANY); index++) {
      const before = regions.reduce((sum, { fds }) => sum + fds, 0);
      const { body, fds } = await ask(5, getRegionInfo(index), 32);
      const size = Number(body.getBigUint64(16, true));
      regions.push({ flags: body.getUint32(4, true), size, argsz: body.getUint32(0, true), fds: fds.length - before });
    }
    const irqs: Facts["irqs"][number][] = [];
    for (let index = 0; index < Math.min(info.body.getUint32(12, true), MANY); index++) {
      const { body } = await ask(7, getIrqInfo(index), 16);
      irqs.push({ flags: body.getUint32(4, true), count: body.getUint32(12, true) });
    }
    return {
      minor: version.body.getUint16(2, true),
      capabilities: capabilitiesOf(version.body),
      flags: info.body.getUint32(4, true),
      regions,
      irqs,
      pid: peer.pid,
    };
  } catch (error) {
    if (!(error instanceof Mismatch)) throw whyNot(socket, timeoutMs, error);
    throw new VfuError(
      "TARGET",
      `${socket}: cannot begin: the server's answer to ${probe.sent.split(":")[0]}: ${error.message}`,
    );
  } finally {
    probe.close();
  }
}

/** The object behind "capabilities", {} where there is none. @throws Mismatch when it is no JSON */
export function capabilitiesOf(body: DataView): Record<string, unknown> {
  const bytes = new Uint8Array(body.buffer, body.byteOffset + 4, Math.max(body.byteLength - 4, 0));
  if (bytes.length === 0) return {};
  const text = Buffer.from(bytes).toString("utf8");
  if (!text.endsWith("\0")) throw new Mismatch("JSON that ends in a zero byte", printable(text.slice(0, 60)));
  try {
    const value: unknown = JSON.parse(text.slice(0, -1));
    const { capabilities } = value as { capabilities?: unknown };
    if (typeof capabilities === "object" && capabilities !== null) return capabilities as Record<string, unknown>;
    return {};
  } catch {
    throw new Mismatch("JSON", printable(text.slice(0, 60)));
  }
}
