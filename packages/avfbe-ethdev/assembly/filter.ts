// Which packets the guest listens to, by the table of src/layout/filter.ts: its MAC addresses, promiscuous modes, VLANs.
// Broadcasts and untagged packets always pass. Called for each packet of a transmit burst of the port.
import {
  FILTER_ALL_MULTICAST,
  FILTER_ALL_UNICAST,
  FILTER_FLAGS,
  FILTER_MAC,
  FILTER_MACS,
  FILTER_VLANS,
} from "../src/layout/filter";
import { MAC_MASK } from "./count";

/** Whether a destination address passes; the first address of the table, the guest's own, is looked at first. */
// @ts-ignore: decorator
@inline
export function addressPasses(filter: u32, address: u64): bool {
  return address == load<u64>(filter, FILTER_MAC) || address == MAC_MASK || otherPasses(filter, <u32>address, <u32>(address >> 32));
}

function otherPasses(filter: u32, low: u32, high: u32): bool {
  const address = (<u64>high << 32) | <u64>low;
  const flags = load<u32>(filter, FILTER_FLAGS);
  if (flags & (address & 1 ? FILTER_ALL_MULTICAST : FILTER_ALL_UNICAST)) return true;
  const end = filter + FILTER_MAC + (load<u32>(filter, FILTER_MACS) << 3);
  for (let at = filter + FILTER_MAC; at < end; at += 8) if (load<u64>(at) == address) return true;
  return false;
}

/** Whether a VLAN id passes; 0 (priority tag alone) always does. */
// @ts-ignore: decorator
@inline
export function vlanPasses(filter: u32, id: u32): bool {
  if (id == 0) return true;
  return ((load<u32>(filter + FILTER_VLANS + ((id >>> 5) << 2)) >>> (id & 31)) & 1) != 0;
}
