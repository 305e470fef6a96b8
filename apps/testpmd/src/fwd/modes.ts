// The names of the forwarding modes and what each needs of a port; plain data, so that the control side can ask without
// loading what lcores run.
export const FWD_MODES = {
  io: { receives: true, sends: true, help: "packets as they are" },
  mac: { receives: true, sends: true, help: "source address of the port, destination of its peer" },
  macswap: { receives: true, sends: true, help: "source and destination address swapped" },
  rxonly: { receives: true, sends: false, help: "packets are received and freed" },
  txonly: { receives: false, sends: true, help: "packets are made and sent" },
  icmpecho: { receives: true, sends: true, help: "ARP and ICMP echo requests are answered on their port" },
} as const;

export type FwdModeName = keyof typeof FWD_MODES;

export const FWD_MODE_NAMES = Object.keys(FWD_MODES) as FwdModeName[];
