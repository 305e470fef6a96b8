// What a client asks about a region: size, rights and mapping (DEVICE_GET_REGION_INFO), and its ioeventfds
// (DEVICE_GET_REGION_IO_FDS). Both are asked with some room for the answer and again with more when the server says so,
// and both bring fds, none of which is left open when the answer is of no use.

import { closeFd } from "@emudev/linux";
import type { IoFd } from "../server/device.ts";
import { COMMAND, MAX_DATA_XFER_SIZE } from "../wire/constants.ts";
import { regionInfo, regionIoFds } from "../wire/index.ts";
import type { ClientChannel } from "./channel.ts";
import { ioFdsOf } from "./io-fds.ts";
import { malformed, request } from "./request.ts";
import type { RegionInfo } from "./types.ts";

const REGION_INFO_ROOM = 1024;
/** For 64 entries of either layout. */
const IO_FDS_ROOM = 4096;
/** Requests for one answer: a server whose answer grows each time would have us ask for ever. */
const TRIES = 4;

export async function queryRegionInfo(channel: ClientChannel, index: number): Promise<RegionInfo> {
  for (let argsz = REGION_INFO_ROOM, tries = 1; ; tries++) {
    const { body, view, fds } = await request(
      channel,
      COMMAND.DEVICE_GET_REGION_INFO,
      regionInfo.SIZE,
      (msg) => regionInfo.encodeInto(msg, 0, { argsz, flags: 0, index, capOffset: 0, size: 0n, offset: 0n }),
      { takesFds: true },
    );
    const info = regionInfo.decode(view, 0, body.length);
    const areas = info === null ? "it is cut short" : regionInfo.decodeAreas(view, 0, body.length, info);
    const again = info !== null && info.argsz > argsz && info.argsz <= MAX_DATA_XFER_SIZE;
    // One fd belongs to the region. Older servers send one for each area.
    for (const fd of fds.splice(again || typeof areas === "string" ? 0 : 1)) closeFd(fd);
    if (again) {
      if (tries === TRIES) throw malformed(COMMAND.DEVICE_GET_REGION_INFO, "it grows each time it is asked for");
      argsz = info.argsz;
      continue;
    }
    if (info === null || typeof areas === "string") throw malformed(COMMAND.DEVICE_GET_REGION_INFO, String(areas));
    return regionOf(info, areas, fds[0] ?? -1);
  }
}

export async function queryRegionIoFds(channel: ClientChannel, index: number): Promise<IoFd[]> {
  const command = COMMAND.DEVICE_GET_REGION_IO_FDS;
  for (let argsz = IO_FDS_ROOM, tries = 1; ; tries++) {
    const { body, view, fds } = await request(
      channel,
      command,
      regionIoFds.SIZE,
      (msg) => regionIoFds.encodeInto(msg, 0, { argsz, flags: 0, index, count: 0 }),
      { takesFds: true },
    );
    const reply = regionIoFds.decode(view, 0, body.length);
    if (reply !== null && reply.argsz > argsz && reply.argsz <= regionIoFds.ARGSZ_MAX) {
      for (const fd of fds) closeFd(fd);
      if (tries === TRIES) throw malformed(command, "it grows each time it is asked for");
      argsz = reply.argsz;
      continue;
    }
    const entries = reply === null ? "it is cut short" : regionIoFds.decodeEntries(view, 0, body.length, reply);
    const list = ioFdsOf(typeof entries === "string" ? [] : entries, fds);
    if (typeof entries === "string") throw malformed(command, entries);
    if (typeof list === "string") throw malformed(command, list);
    return list;
  }
}

function regionOf(info: regionInfo.RegionInfo, areas: regionInfo.Area[], fd: number): RegionInfo {
  const whole = fd >= 0 && areas.length === 0 ? [{ offset: 0n, size: info.size }] : areas;
  return {
    flags: info.flags,
    size: Number(info.size),
    offset: Number(info.offset),
    areas: whole.map((area) => ({ offset: Number(area.offset), size: Number(area.size) })),
    fd,
  };
}
