// Who may have a device, beyond the permissions of the socket file: the credentials that the kernel recorded when the
// peer connected. Called by server.ts for each connection, when the server was told to look.

import { peerGroups } from "@emudev/linux";

/** As the kernel saw it at connect time. */
export interface Peer {
  pid: number;
  uid: number;
  gid: number;
}

/** What a peer must be. Each list that is there must hold the peer's; an empty one admits nobody. */
export interface PeerRule {
  uid?: readonly number[];
  /** Of the peer's group, or of one of its supplementary groups. */
  gid?: readonly number[];
}

/** @returns null, or a sentence saying why not. */
export function forbidden(fd: number, peer: Peer, rule: PeerRule): string | null {
  const { uid, gid } = rule;
  if (uid !== undefined && !uid.includes(peer.uid)) return `uid ${peer.uid} is not ${uid.join(" or ")}`;
  if (gid === undefined || gid.includes(peer.gid)) return null;
  if (peerGroups(fd).some((group) => gid.includes(group))) return null;
  return `gid ${peer.gid} is not ${gid.join(" or ")}, and no supplementary group is`;
}
