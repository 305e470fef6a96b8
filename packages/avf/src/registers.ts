// The register file of BAR0 as Linux and DPDK use it: one row a register, with the offset of its first instance, the distance
// between instances and their number. The device dispatches by `switch` on these offsets, the guest driver and the log name
// them. Instances of VFINT_ITRN1 run over the vector first (16 of them), then over the ITR index.

/** How software may touch a register: rc is cleared by being read. */
export type RegAccess = "rw" | "ro" | "rc";

/** One row of the table. Offsets and strides in bytes from the start of BAR0, width in bytes. */
export interface Register {
  readonly name: string;
  readonly offset: number;
  readonly stride: number;
  readonly count: number;
  readonly width: number;
  readonly access: RegAccess;
  readonly reset: number;
  readonly meaning: string;
}

const row = <N extends string, O extends number>(
  name: N,
  offset: O,
  count: number,
  access: RegAccess,
  meaning: string,
  reset = 0,
) => ({ name, offset, stride: 4, count, width: 4, access, reset, meaning }) as const;

/** Every register of BAR0, by name. */
export const REG = {
  QTX_TAIL1: row("QTX_TAIL1", 0x0000, 16, "rw", "transmit tail: one past the last valid descriptor of queue n"),
  QRX_TAIL1: row("QRX_TAIL1", 0x2000, 16, "rw", "receive tail: descriptors from head to here belong to the device"),
  VFINT_ITRN1: row("VFINT_ITRN1", 0x2800, 48, "rw", "interval of ITR i (0-2) for vector n+1, in 2 us, at [16 i + n]"),
  VFINT_DYN_CTLN1: row("VFINT_DYN_CTLN1", 0x3800, 16, "rw", "interrupt control of vector n+1"),
  VFINT_ICR01: row("VFINT_ICR01", 0x4800, 1, "rc", "causes of vector 0: bit 30 admin queue, bit 25 link"),
  VFINT_ITR01: row("VFINT_ITR01", 0x4c00, 3, "rw", "interval of ITR i for vector 0, in 2 us"),
  VFINT_ICR0_ENA1: row("VFINT_ICR0_ENA1", 0x5000, 1, "rw", "enabled causes of vector 0"),
  VFINT_STAT_CTL01: row("VFINT_STAT_CTL01", 0x5400, 1, "rw", "ITR index of other causes; kept, without effect"),
  VFINT_DYN_CTL01: row("VFINT_DYN_CTL01", 0x5c00, 1, "rw", "interrupt control of vector 0"),
  VF_ARQBAH1: row("VF_ARQBAH1", 0x6000, 1, "rw", "admin receive queue: base address, high"),
  VF_ATQH1: row("VF_ATQH1", 0x6400, 1, "rw", "admin send queue: head, advanced by the device"),
  VF_ATQLEN1: row("VF_ATQLEN1", 0x6800, 1, "rw", "admin send queue: entries, error bits, bit 31 enable"),
  VF_ARQBAL1: row("VF_ARQBAL1", 0x6c00, 1, "rw", "admin receive queue: base address, low"),
  VF_ARQT1: row("VF_ARQT1", 0x7000, 1, "rw", "admin receive queue: tail, buffers given to the device"),
  VF_ARQH1: row("VF_ARQH1", 0x7400, 1, "rw", "admin receive queue: head, advanced by the device"),
  VF_ATQBAH1: row("VF_ATQBAH1", 0x7800, 1, "rw", "admin send queue: base address, high"),
  VF_ATQBAL1: row("VF_ATQBAL1", 0x7c00, 1, "rw", "admin send queue: base address, low"),
  VF_ARQLEN1: row("VF_ARQLEN1", 0x8000, 1, "rw", "admin receive queue: entries, error bits, bit 31 enable"),
  VF_ATQT1: row("VF_ATQT1", 0x8400, 1, "rw", "admin send queue: tail, the doorbell"),
  VFGEN_RSTAT: row("VFGEN_RSTAT", 0x8800, 1, "ro", "reset state: 0 in progress, 1 completed, 2 VF active", 2),
  VFQF_HENA: row("VFQF_HENA", 0xc400, 2, "rw", "RSS packet classes, only when RSS is by register"),
  VFQF_HKEY: row("VFQF_HKEY", 0xcc00, 13, "rw", "RSS key, 52 bytes"),
  VFQF_HLUT: row("VFQF_HLUT", 0xd000, 16, "rw", "RSS lookup table, 64 entries"),
} as const satisfies Record<string, Register>;

export type RegName = keyof typeof REG;

/** The rows in ascending order of offset. */
export const REGISTERS: readonly Register[] = Object.values(REG);

/** The row whose instances cover a byte offset of BAR0 and the instance's number, or null. */
export function findRegister(offset: number): { reg: Register; index: number } | null {
  for (const reg of REGISTERS) {
    if (offset < reg.offset || offset >= reg.offset + reg.stride * reg.count) continue;
    return { reg, index: Math.floor((offset - reg.offset) / reg.stride) };
  }
  return null;
}

/** "VF_ATQT1", "QTX_TAIL1(3)", "VFINT_ITRN1(1,0)" (ITR index, then vector less one), or the offset in hexadecimal. */
export function regName(offset: number): string {
  const found = findRegister(offset);
  if (found === null) return `0x${offset.toString(16)}`;
  const { reg, index } = found;
  if (reg.count === 1) return reg.name;
  return reg === REG.VFINT_ITRN1 ? `${reg.name}(${index >> 4},${index & 15})` : `${reg.name}(${index})`;
}
