// Ports without hardware: net_null, net_ring, net_pcap and net_tap.
export { drivers } from "./control/drivers.ts";
export { SoftEthdevError, type SoftEthdevErrorCode } from "./control/errors.ts";
