// A trace as a pcapng file and back. A packet is one vfio-user message as it arrived, header first, of link type LINKTYPE_USER0
// (147). Each channel of a connection is an interface of its own, by the name "connection 1" or "connection 1 twin"; "out" is what the
// client sends, "in" what the server answers. The first comment is the decoded line; the second, JSON, is what the bytes do not
// tell: fds, and what the proxy changed.
import { LINKTYPE_USER0, type PcapngPacket, pcapngInterface, pcapngPacket, pcapngSection } from "@emudev/net";
import type { Entry } from "../entry.ts";
import type { Passed } from "../passed.ts";
import { bareLine } from "./text.ts";

const SECTION_OWNER = "vfu trace";

interface Extra {
  kind: Passed["kind"];
  fds: readonly string[];
  fdsLost: boolean;
  note: string | null;
}

export class PcapngWriter {
  readonly #write: (bytes: Uint8Array) => void;
  readonly #interfaces = new Map<string, number>();

  /** Writes the start of the file at once. @param write takes the bytes, which are not used again */
  constructor(write: (bytes: Uint8Array) => void) {
    this.#write = write;
    write(pcapngSection(SECTION_OWNER));
  }

  add(entry: Entry): void {
    const { connection, channel, direction, kind, bytes, size, time, fds, fdsLost, note } = entry.message;
    const extra: Extra = { kind, fds, fdsLost, note };
    this.#write(
      pcapngPacket({
        interfaceId: this.#interface(`connection ${connection}${channel === "twin" ? " twin" : ""}`),
        time,
        direction: direction === "c>s" ? "out" : "in",
        comments: [bareLine(entry), JSON.stringify(extra)],
        data: bytes,
        originalLength: Math.max(size, bytes.length),
      }),
    );
  }

  #interface(name: string): number {
    let id = this.#interfaces.get(name);
    if (id === undefined) {
      id = this.#interfaces.size;
      this.#interfaces.set(name, id);
      this.#write(pcapngInterface(LINKTYPE_USER0, name));
    }
    return id;
  }
}

/** The message in a packet, or null where it is none of ours. */
export function passedOf(packet: PcapngPacket): Passed | null {
  const name = /^connection (\d{1,9})( twin)?$/.exec(packet.interface.name ?? "");
  if (packet.interface.linkType !== LINKTYPE_USER0 || name === null || packet.direction === null) return null;
  const extra = extraOf(packet.comments[1]);
  return {
    connection: Number(name[1]),
    channel: name[2] === undefined ? "main" : "twin",
    direction: packet.direction === "out" ? "c>s" : "s>c",
    bytes: packet.data,
    size: packet.data.length >= 8 ? sizeOf(packet.data) : packet.data.length,
    time: packet.time,
    ...extra,
  };
}

function sizeOf(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(4, true);
}

/** Another tool may have dropped or changed the comment. */
function extraOf(comment: string | undefined): Extra {
  let extra: Partial<Extra> | null = null;
  try {
    extra = comment === undefined ? null : JSON.parse(comment);
  } catch {
    // no comment of ours
  }
  const kinds: readonly (Passed["kind"] | undefined)[] = ["torn", "large"];
  const fds = Array.isArray(extra?.fds) ? extra.fds.map(String) : [];
  const note = typeof extra?.note === "string" ? extra.note : null;
  return { kind: kinds.includes(extra?.kind) ? extra!.kind! : "message", fds, fdsLost: extra?.fdsLost === true, note };
}
