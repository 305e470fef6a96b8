// The descriptor of the admin queues, 32 bytes: sent by the driver on the send queue, written back by the device, and written
// by the device on the receive queue. virtchnl travels in it: the op in cookieHigh, the status in cookieLow.
import type { Codec } from "./codec.ts";
import * as AQ from "./layout/aq.ts";

export interface AqDescriptor {
  flags: number;
  opcode: number;
  datalen: number;
  retval: number;
  cookieHigh: number;
  /** Signed: virtchnl statuses are negative. */
  cookieLow: number;
  param0: number;
  param1: number;
  /** Guest address of the buffer, when AQ_FLAG_BUF is set. */
  address: bigint;
}

/** A descriptor of zeros with the given fields set. */
export const aqDescriptor = (fields: Partial<AqDescriptor> = {}): AqDescriptor => ({
  flags: 0,
  opcode: 0,
  datalen: 0,
  retval: 0,
  cookieHigh: 0,
  cookieLow: 0,
  param0: 0,
  param1: 0,
  address: 0n,
  ...fields,
});

export const aqDescriptorCodec: Codec<AqDescriptor> = {
  name: "AQ descriptor",
  minBytes: AQ.AQ_DESC_BYTES,
  size: () => AQ.AQ_DESC_BYTES,
  encodeInto(view, offset, msg) {
    view.setUint16(offset + AQ.AQ_DESC_FLAGS, msg.flags, true);
    view.setUint16(offset + AQ.AQ_DESC_OPCODE, msg.opcode, true);
    view.setUint16(offset + AQ.AQ_DESC_DATALEN, msg.datalen, true);
    view.setUint16(offset + AQ.AQ_DESC_RETVAL, msg.retval, true);
    view.setUint32(offset + AQ.AQ_DESC_COOKIE_HIGH, msg.cookieHigh, true);
    view.setInt32(offset + AQ.AQ_DESC_COOKIE_LOW, msg.cookieLow, true);
    view.setUint32(offset + AQ.AQ_DESC_PARAM0, msg.param0, true);
    view.setUint32(offset + AQ.AQ_DESC_PARAM1, msg.param1, true);
    view.setUint32(offset + AQ.AQ_DESC_ADDR_HIGH, Number((msg.address >> 32n) & 0xffffffffn), true);
    view.setUint32(offset + AQ.AQ_DESC_ADDR_LOW, Number(msg.address & 0xffffffffn), true);
    return AQ.AQ_DESC_BYTES;
  },
  decode(view, offset, length) {
    if (length < AQ.AQ_DESC_BYTES) return null;
    const high = BigInt(view.getUint32(offset + AQ.AQ_DESC_ADDR_HIGH, true));
    return {
      flags: view.getUint16(offset + AQ.AQ_DESC_FLAGS, true),
      opcode: view.getUint16(offset + AQ.AQ_DESC_OPCODE, true),
      datalen: view.getUint16(offset + AQ.AQ_DESC_DATALEN, true),
      retval: view.getUint16(offset + AQ.AQ_DESC_RETVAL, true),
      cookieHigh: view.getUint32(offset + AQ.AQ_DESC_COOKIE_HIGH, true),
      cookieLow: view.getInt32(offset + AQ.AQ_DESC_COOKIE_LOW, true),
      param0: view.getUint32(offset + AQ.AQ_DESC_PARAM0, true),
      param1: view.getUint32(offset + AQ.AQ_DESC_PARAM1, true),
      address: (high << 32n) | BigInt(view.getUint32(offset + AQ.AQ_DESC_ADDR_LOW, true)),
    };
  },
  invalid(msg) {
    if ((msg.flags & AQ.AQ_FLAG_BUF) !== 0) {
      if (msg.datalen === 0) return "flag BUF with a datalen of 0";
      if (msg.datalen > AQ.AQ_BUF_MAX) return `datalen ${msg.datalen} is more than a buffer's ${AQ.AQ_BUF_MAX} bytes`;
      if (msg.address === 0n) return "flag BUF with a buffer at address 0";
    }
    return null;
  },
};

const RC_NAMES = [
  ..."OK EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG EAGAIN ENOMEM EACCES EFAULT EBUSY EEXIST EINVAL".split(" "),
  ..."ENOTTY ENOSPC ENOSYS ERANGE EFLUSHED BAD_ADDR EMODE EFBIG".split(" "),
];

/** "OK", "ESRCH", ... for the retval of a descriptor. */
export const aqRcName = (rc: number): string => RC_NAMES[rc] ?? `AQ_RC_${rc}`;
