// The names of the forwarding modes and what each needs of a port; plain data, so that the control side can ask without
// loading what lcores run. A mode that keeps packets as they are may hand one packet to several ports.
export const FWD_MODES = {
  io: { receives: true, sends: true, keeps: true, help: "packets as they are" },
  mac: { receives: true, sends: true, keeps: false, help: "source address of the port, destination of its peer" },
  macswap: { receives: true, sends: true, keeps: false, help: "source and destination address swapped" },
  rxonly: { receives: true, sends: false, keeps: false, help: "packets are received and freed" },
  txonly: { receives: false, sends: true, keeps: false, help: "packets are made and sent" },
  icmpecho: {
    receives: true,
    sends: true,
    keeps: false,
    help: "ARP and ICMP echo requests are answered on their port",
  },
  flood: { receives: true, sends: true, keeps: true, help: "packets as they are to all other ports, without a copy" },
} as const;

export type FwdModeName = keyof typeof FWD_MODES;

export const FWD_MODE_NAMES = Object.keys(FWD_MODES) as FwdModeName[];
