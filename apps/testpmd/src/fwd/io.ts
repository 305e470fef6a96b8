// Mode io: packets go from the receive queue to the transmit queue as they are. The shortest of the modes, and the model of
// all: receive a burst, work on it, send it.
import type { FwdMode } from "./stream.ts";

export const io: FwdMode = (stream) => () => {
  const n = stream.receive();
  if (n !== 0) stream.send(n);
  else stream.flush();
  return n;
};
