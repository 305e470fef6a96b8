// testpmd's work on packet headers: the forwarding modes mac, macswap, txonly and icmpecho, each over a burst of mbufs. A
// packet too short for the headers it should have is left alone (mac, macswap) or not answered (icmpecho). Called by src/fwd.
export { fwd_icmpecho } from "./icmpecho";
export { fwd_mac, fwd_macswap } from "./mac";
export { fwd_txonly } from "./txonly";
