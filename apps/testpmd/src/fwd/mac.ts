// Mode mac: the source address becomes that of the transmit port, the destination that of its peer (`set eth-peer`).
import { STREAM_MACS } from "../layout/stream.ts";
import type { FwdMode } from "./stream.ts";

export const mac: FwdMode = (stream) => () => {
  const n = stream.receive();
  if (n === 0) {
    stream.flush();
    return 0;
  }
  stream.kernels.fwd_mac(stream.pkts, n, stream.off + STREAM_MACS);
  stream.send(n);
  return n;
};
