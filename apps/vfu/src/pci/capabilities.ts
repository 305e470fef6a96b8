// The capability list below 0x100 in the words of `lspci -vv`: power management (PCI PM 1.2, 3.2), MSI and MSI-X (PCI 3.0,
// 6.8), vendor specific; PCI Express is in express.ts. A list that runs in a circle or out of its bounds is told and left.
import { pci } from "@emudev/vfio-user";
import { express } from "./express.ts";
import { type Bits, bitFields, bitText, type Capability, type Decoded, plainHex, type Space } from "./space.ts";

const MSI_ID = 0x05;
const PM_FLAGS: Bits = { PMEClk: 0x08, DSI: 0x20, D1: 0x200, D2: 0x400 };
const PME_FROM: Bits = { D0: 0x800, D1: 0x1000, D2: 0x2000, D3hot: 0x4000, D3cold: 0x8000 };
const AUX_MILLIAMPERE = [0, 55, 100, 160, 220, 270, 320, 375];

const DECODERS: Readonly<Record<number, (space: Space, at: number) => Decoded>> = {
  [pci.CAP_ID.PM]: powerManagement,
  [MSI_ID]: msi,
  [pci.CAP_ID.VENDOR]: vendor,
  [pci.CAP_ID.PCIE]: express,
  [pci.CAP_ID.MSIX]: msix,
};

/** The list from byte 0x34 on. @returns what there is, and a sentence where the list is broken */
export function capabilities(space: Space): { list: Capability[]; broken: string | null } {
  const list: Capability[] = [];
  if ((space.u16(pci.HEADER.STATUS) & pci.STATUS_CAPABILITIES) === 0) return { list, broken: null };
  const seen = new Set<number>();
  for (let at = space.u8(pci.HEADER.CAPABILITIES) & 0xfc; at !== 0; at = space.u8(at + 1) & 0xfc) {
    if (at < pci.HEADER.END) return { list, broken: `the list points into the header, to ${plainHex(at, 2)}` };
    if (seen.has(at)) return { list, broken: `the list runs in a circle, back to ${plainHex(at, 2)}` };
    seen.add(at);
    const id = space.u8(at);
    const decode = DECODERS[id];
    list.push({ at, id, ...(decode === undefined ? unknown(id) : decode(space, at)) });
  }
  return { list, broken: null };
}

function unknown(id: number): Decoded {
  return { name: "unknown", title: `Capability ID ${plainHex(id, 2)}`, lines: [], fields: {} };
}

function powerManagement(space: Space, at: number): Decoded {
  const pmc = space.u16(at + pci.PM.PMC);
  const pmcsr = space.u16(at + pci.PM.PMCSR);
  const aux = AUX_MILLIAMPERE[(pmc >> 6) & 7];
  const state = `D${pmcsr & 3}`;
  const control = { NoSoftRst: pci.PM.NO_SOFT_RESET, "PME-Enable": 0x100 };
  const from = bitText(pmc, PME_FROM).replaceAll(" ", ",");
  const scale = `DSel=${(pmcsr >> 9) & 15} DScale=${(pmcsr >> 13) & 3} PME${pmcsr & pci.PM.PME_STATUS ? "+" : "-"}`;
  return {
    name: "pm",
    title: `Power Management version ${pmc & 7}`,
    lines: [
      `Flags: ${bitText(pmc, PM_FLAGS)} AuxCurrent=${aux}mA PME(${from})`,
      `Status: ${state} ${bitText(pmcsr, control)} ${scale}`,
    ],
    fields: { version: pmc & 7, state, ...bitFields(pmc, PM_FLAGS), pmeFrom: bitFields(pmc, PME_FROM) },
  };
}

function msi(space: Space, at: number): Decoded {
  const control = space.u16(at + 2);
  const [enable, maskable, wide] = [control & 1, control & 0x100, control & 0x80].map((bit) => bit !== 0);
  const [enabled, capable] = [1 << ((control >> 4) & 7), 1 << ((control >> 1) & 7)];
  const low = plainHex(space.u32(at + 4), 8);
  const address = wide ? `${plainHex(space.u32(at + 8), 8)}${low}` : low;
  const data = plainHex(space.u16(at + (wide ? 12 : 8)), 4);
  const lines = [`Address: ${address}  Data: ${data}`];
  const mask = at + (wide ? 16 : 12);
  if (maskable) lines.push(`Masking: ${plainHex(space.u32(mask), 8)}  Pending: ${plainHex(space.u32(mask + 4), 8)}`);
  const flags = `Maskable${maskable ? "+" : "-"} 64bit${wide ? "+" : "-"}`;
  return {
    name: "msi",
    title: `MSI: Enable${enable ? "+" : "-"} Count=${enabled}/${capable} ${flags}`,
    lines,
    fields: { enable, count: enabled, capable, maskable, "64bit": wide, address: `0x${address}`, data: `0x${data}` },
  };
}

function msix(space: Space, at: number): Decoded {
  const control = space.u16(at + pci.MSIX.CONTROL);
  const count = (control & 0x7ff) + 1;
  const enable = (control & pci.MSIX.ENABLE) !== 0;
  const masked = (control & pci.MSIX.FUNCTION_MASK) !== 0;
  const place = (word: number) => ({ bar: word & 7, offset: (word & ~7) >>> 0 });
  const table = place(space.u32(at + pci.MSIX.TABLE));
  const pba = place(space.u32(at + pci.MSIX.PBA));
  return {
    name: "msix",
    title: `MSI-X: Enable${enable ? "+" : "-"} Count=${count} Masked${masked ? "+" : "-"}`,
    lines: [
      `Vector table: BAR=${table.bar} offset=${plainHex(table.offset, 8)}`,
      `PBA: BAR=${pba.bar} offset=${plainHex(pba.offset, 8)}`,
    ],
    fields: { enable, count, masked, table, pba },
  };
}

function vendor(space: Space, at: number): Decoded {
  const length = space.u8(at + 2);
  const data = Buffer.from(space.bytes.subarray(at + 3, at + Math.max(length, 3))).toString("hex");
  return {
    name: "vendor",
    title: `Vendor Specific Information: Len=${plainHex(length, 2)}`,
    lines: data === "" ? [] : [`Data: ${data.replace(/(..)(?=.)/g, "$1 ")}`],
    fields: { length, data },
  };
}
