// The extended capability list from 0x100 on (PCI Express Base 3.0, 7.9 and following): device serial number and the head of
// advanced error reporting decoded, vendor specific ones with their header, others by name. A broken list is told and left.
import { type Bits, bitFields, bitText, type Capability, type Decoded, plainHex, type Space } from "./space.ts";

const START = 0x100;
const AER_ID = 0x0001;
const DSN_ID = 0x0003;
const VSEC_ID = 0x000b;

const NAMES: Readonly<Record<number, string>> = {
  2: "Virtual Channel",
  4: "Power Budgeting",
  13: "Access Control Services",
  14: "Alternative Routing-ID Interpretation (ARI)",
  15: "Address Translation Service (ATS)",
  16: "Single Root I/O Virtualization (SR-IOV)",
  19: "Page Request Interface (PRI)",
  21: "Physical Resizable BAR",
  23: "Transaction Processing Hints",
  24: "Latency Tolerance Reporting",
  25: "Secondary PCI Express",
  27: "Process Address Space ID (PASID)",
  30: "L1 PM Substates",
  35: "Designated Vendor-Specific",
  37: "Data Link Feature",
  38: "Physical Layer 16.0 GT/s",
};

const UNCORRECTABLE: Bits = {
  DLP: 1 << 4,
  SDES: 1 << 5,
  TLP: 1 << 12,
  FCP: 1 << 13,
  CmpltTO: 1 << 14,
  CmpltAbrt: 1 << 15,
  UnxCmplt: 1 << 16,
  RxOF: 1 << 17,
  MalfTLP: 1 << 18,
  ECRC: 1 << 19,
  UnsupReq: 1 << 20,
  ACSViol: 1 << 21,
};
const CORRECTABLE: Bits = {
  RxErr: 1,
  BadTLP: 1 << 6,
  BadDLLP: 1 << 7,
  Rollover: 1 << 8,
  Timeout: 1 << 12,
  AdvNonFatalErr: 1 << 13,
};
const CONTROL: Bits = { ECRCGenCap: 1 << 5, ECRCGenEn: 1 << 6, ECRCChkCap: 1 << 7, ECRCChkEn: 1 << 8 };

/** The list from 0x100 on; empty where configuration space ends there. */
export function extendedCapabilities(space: Space): { list: Capability[]; broken: string | null } {
  const list: Capability[] = [];
  const seen = new Set<number>();
  for (let at = START; at !== 0 && space.bytes.length > START; ) {
    if (at < START) return { list, broken: `the extended list points below 100, to ${plainHex(at, 3)}` };
    if (seen.has(at)) return { list, broken: `the extended list runs in a circle, back to ${plainHex(at, 3)}` };
    seen.add(at);
    const head = space.u32(at);
    if (head === 0 || head === 0xffffffff) break;
    const [id, version] = [head & 0xffff, (head >>> 16) & 15];
    list.push({ at, id, version, ...decode(space, at, id) });
    at = (head >>> 20) & 0xffc;
  }
  return { list, broken: null };
}

function decode(space: Space, at: number, id: number): Decoded {
  if (id === DSN_ID) return serialNumber(space, at);
  if (id === AER_ID) return errorReporting(space, at);
  if (id === VSEC_ID) return vendorSpecific(space, at);
  const name = NAMES[id];
  const title = name ?? `Extended Capability ID ${plainHex(id, 4)}`;
  return { name: name === undefined ? "unknown" : name, title, lines: [], fields: {} };
}

function serialNumber(space: Space, at: number): Decoded {
  const digits = plainHex(space.u32(at + 8), 8) + plainHex(space.u32(at + 4), 8);
  const serial = digits.replace(/(..)(?=.)/g, "$1-");
  return { name: "dsn", title: `Device Serial Number ${serial}`, lines: [], fields: { serial } };
}

function errorReporting(space: Space, at: number): Decoded {
  const registers: [name: string, offset: number, bits: Bits][] = [
    ["UESta", 4, UNCORRECTABLE],
    ["UEMsk", 8, UNCORRECTABLE],
    ["UESvrt", 12, UNCORRECTABLE],
    ["CESta", 16, CORRECTABLE],
    ["CEMsk", 20, CORRECTABLE],
  ];
  const control = space.u32(at + 24);
  const head = [28, 32, 36, 40].map((offset) => plainHex(space.u32(at + offset), 8)).join(" ");
  return {
    name: "aer",
    title: "Advanced Error Reporting",
    lines: [
      ...registers.map(([name, offset, bits]) => `${name}:\t${bitText(space.u32(at + offset), bits)}`),
      `AERCap:\tFirst Error Pointer: ${plainHex(control & 31, 2)}, ${bitText(control, CONTROL)}`,
      `HeaderLog: ${head}`,
    ],
    fields: {
      ...Object.fromEntries(registers.map(([name, offset, bits]) => [name, bitFields(space.u32(at + offset), bits)])),
      firstError: control & 31,
      headerLog: head,
    },
  };
}

function vendorSpecific(space: Space, at: number): Decoded {
  const head = space.u32(at + 4);
  const [id, revision, length] = [head & 0xffff, (head >>> 16) & 15, head >>> 20];
  return {
    name: "vsec",
    title: `Vendor Specific Information: ID=${plainHex(id, 4)} Rev=${revision} Len=${plainHex(length, 3)}`,
    lines: [],
    fields: { vsecId: id, revision, length },
  };
}
