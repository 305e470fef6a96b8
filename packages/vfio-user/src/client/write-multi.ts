// Register writes as REGION_WRITE_MULTI messages: judged, and divided by what one message may hold. Called by client.ts.

import { VfioUserError } from "../errors.ts";
import { ERRNO } from "../wire/constants.ts";
import { regionWriteMulti } from "../wire/index.ts";

export interface RegionWrite {
  /** Region index. */
  index: number;
  offset: number;
  /** 1 to 8 bytes. */
  data: Uint8Array;
}

const { DATA_MAX, ENTRY_SIZE, SIZE, WRITES_MAX } = regionWriteMulti;

/** @param max max_data_xfer_size, as agreed on */
export function multiMessages(
  writes: readonly RegionWrite[],
  agreed: boolean,
  max: number,
): { body: Uint8Array; count: number }[] {
  const fits = Math.min(Math.floor(max / ENTRY_SIZE), WRITES_MAX);
  if (!agreed || fits === 0) {
    const why = agreed ? `max_data_xfer_size ${max} has no room for one` : "write_multiple was not agreed on";
    throw new VfioUserError("VFU_STATE", ERRNO.ENOTSUP, `no REGION_WRITE_MULTI: ${why}; use regionWrite`);
  }
  const long = writes.find(({ data }) => data.length === 0 || data.length > DATA_MAX);
  if (long !== undefined) {
    throw new VfioUserError(
      "VFU_ARGUMENT",
      ERRNO.EINVAL,
      `a write of ${long.data.length} bytes; 1 to ${DATA_MAX} it is`,
    );
  }
  const messages = [];
  for (let at = 0; at < writes.length; at += fits) {
    const part = writes.slice(at, at + fits);
    const body = new Uint8Array(SIZE + part.length * ENTRY_SIZE);
    regionWriteMulti.encodeInto(
      new DataView(body.buffer),
      0,
      part.map(({ index, offset, data }) => ({ region: index, offset: BigInt(offset), count: data.length, data })),
    );
    messages.push({ body, count: part.length });
  }
  return messages;
}
