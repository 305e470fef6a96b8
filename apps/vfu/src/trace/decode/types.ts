// What a decoder takes and gives. A decoder is a pure function of one message's payload: it looks at nothing but the bytes, and
// at the names that a `Names` knows; it never throws, whatever the bytes are. Used by decode/*.ts, by tracer.ts, and by
// whoever has a message and wants to read it.

export interface Payload {
  /** The bytes behind the header, as far as they were captured. */
  body: Uint8Array;
  view: DataView;
  /** Bytes behind the header on the wire; more than body.length where the capture is cut. */
  length: number;
  reply: boolean;
  /** What came with the message: "memfd:ram", "eventfd", "socket", a path. */
  fds: readonly string[];
}

/** Names of places in the device of one connection. */
export interface Names {
  /** "VFGEN_RSTAT1", "COMMAND", or null where nothing is known to lie. */
  at(region: number, offset: number): string | null;
}

export interface Decoded {
  /** By the specification's names in camelCase; 64-bit numbers are bigint, flags lists of names, data bytes. */
  fields: Record<string, unknown>;
  /** The same on one line, for people; `dataMost` bytes of data are shown. */
  text: string;
  /** Why the payload is not what the command has, or null. */
  fault: string | null;
}

export interface Style {
  /** Bytes of data to show where they are no single number. */
  dataMost: number;
}

export type Decoder = (payload: Payload, names: Names, style: Style) => Decoded;

export const NO_NAMES: Names = { at: () => null };

export function payloadOf(
  body: Uint8Array,
  reply: boolean,
  fds: readonly string[] = [],
  length = body.length,
): Payload {
  return { body, view: new DataView(body.buffer, body.byteOffset, body.byteLength), length, reply, fds };
}

export function decoded(text: string, fields: Record<string, unknown>, fault: string | null = null): Decoded {
  return { fields, text, fault };
}

/** A payload that is shorter than the command's fixed part. */
export function short(payload: Payload, need: number): Decoded {
  const { body, length } = payload;
  return decoded("", { payload: body.slice() }, `payload of ${length} bytes, at least ${need} are needed`);
}
