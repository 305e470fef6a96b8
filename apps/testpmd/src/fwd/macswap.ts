// Mode macswap: source and destination address change places.
import type { FwdMode } from "./stream.ts";

export const macswap: FwdMode = (stream) => () => {
  const n = stream.receive();
  if (n === 0) {
    stream.flush();
    return 0;
  }
  stream.kernels.fwd_macswap(stream.pkts, n);
  stream.send(n);
  return n;
};
