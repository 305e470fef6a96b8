// Mode rxonly: packets are received and freed, which measures what a port can receive.
import type { FwdMode } from "./stream.ts";

export const rxonly: FwdMode = (stream) => () => {
  const n = stream.receive();
  if (n !== 0) stream.consume(n);
  return n;
};
