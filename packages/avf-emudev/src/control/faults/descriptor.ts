// Receive descriptors as a broken device writes them back: each is wrong in one way, and right otherwise. Called by faults.ts.
import {
  RX_DESC_BYTES,
  RX_ERROR_RXE,
  RX_ERROR_SHIFT,
  RX_LENGTH_MASK,
  RX_LENGTH_SHIFT,
  RX_PTYPE_L2,
  RX_PTYPE_MASK,
  RX_PTYPE_SHIFT,
  RX_STATUS_DD,
  RX_STATUS_EOF,
  RX_WB_QW1,
} from "@emudev/avf";
import type { DescriptorError } from "./kinds.ts";

const LENGTH = 64;
const HEAD_BYTES = 16;

interface Wrong {
  length?: number;
  ptype?: number;
  status?: number;
  errors?: number;
}

const WRONG: Record<DescriptorError, Wrong> = {
  "too-long": { length: RX_LENGTH_MASK },
  empty: { length: 0 },
  "receive-error": { errors: RX_ERROR_RXE },
  "no-end": { status: RX_STATUS_DD },
  "bad-type": { ptype: RX_PTYPE_MASK },
};

/** The first 16 bytes, which say that it is done, and those behind them. */
export function wrongDescriptor(error: DescriptorError): { head: Uint8Array; rest: Uint8Array } {
  const { length = LENGTH, ptype = RX_PTYPE_L2, status = RX_STATUS_DD | RX_STATUS_EOF, errors = 0 } = WRONG[error];
  const head = new Uint8Array(HEAD_BYTES);
  const word =
    BigInt(status) |
    (BigInt(errors) << BigInt(RX_ERROR_SHIFT)) |
    (BigInt(ptype) << BigInt(RX_PTYPE_SHIFT)) |
    (BigInt(length) << BigInt(RX_LENGTH_SHIFT));
  new DataView(head.buffer).setBigUint64(RX_WB_QW1, word, true);
  return { head, rest: new Uint8Array(RX_DESC_BYTES - HEAD_BYTES) };
}
