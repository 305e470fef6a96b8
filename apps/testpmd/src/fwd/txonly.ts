// Mode txonly: packets are made from the stream's head and sent. Also what `start tx_first` sends before it forwards. A queue
// that accepts nothing (a guest that is not up) makes this an idle turn, so the lcore may nap.
import type { FwdMode } from "./stream.ts";

export const txonly: FwdMode = (stream) => () => {
  const n = stream.burst;
  if (stream.kernels.fwd_txonly(stream.off, stream.pool, stream.lcore, n) === 0) {
    stream.noMbuf(n);
    stream.flush();
    return 0;
  }
  return stream.send(n);
};
