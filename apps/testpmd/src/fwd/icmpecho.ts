// Mode icmpecho: ARP requests and ICMP echo requests are answered on the port where they arrive, all else is freed. A guest
// can ping anything through it.
import { STREAM_MACS } from "../layout/stream.ts";
import type { FwdMode } from "./stream.ts";

const SOURCE = 6; // the port's own address among the stream's two

export const icmpecho: FwdMode = (stream) => () => {
  const n = stream.receive();
  if (n === 0) {
    stream.flush();
    return 0;
  }
  const answers = stream.kernels.fwd_icmpecho(stream.lcore, stream.pkts, n, stream.off + STREAM_MACS + SOURCE);
  if (answers < n) stream.consumed(n - answers);
  if (answers !== 0) stream.send(answers);
  return n;
};
