// The controller's registers and the fields inside them (NVM Express Base Specification 1.4, chapter 3), as this controller
// offers them: one submission queue entry size, pages of 4 to 64 KiB, queues in contiguous memory. register-file.ts keeps
// their values, controller.ts acts on writes.

export const REG = {
  CAP: 0x00,
  VS: 0x08,
  INTMS: 0x0c,
  INTMC: 0x10,
  CC: 0x14,
  CSTS: 0x1c,
  NSSR: 0x20,
  AQA: 0x24,
  ASQ: 0x28,
  ACQ: 0x30,
  CMBLOC: 0x38,
  CMBSZ: 0x3c,
} as const;

/** Doorbells: submission queue y's tail at DOORBELLS + 8y, completion queue y's head 4 bytes further (CAP.DSTRD is 0). */
export const DOORBELLS = 0x1000;

/** Entries of a queue, at most. */
export const MAX_QUEUE_ENTRIES = 1024;
/** Memory page sizes that a host may choose: 4096 << 0 to 4096 << 4. */
export const MAX_PAGE_SHIFT = 4;
/** NVM Express 1.4. */
export const VERSION = 0x0001_0400;

/** Half seconds within which CSTS.RDY follows CC.EN. */
const TIMEOUT = 20;
const CAP_LOW = (MAX_QUEUE_ENTRIES - 1) | (1 << 16) | (TIMEOUT << 24); // MQES, CQR, TO
const CAP_HIGH = (1 << 5) | (MAX_PAGE_SHIFT << 20); // CSS: the NVM command set; MPSMIN 0, MPSMAX

export interface Register {
  name: keyof typeof REG;
  offset: number;
  /** Bytes. */
  width: 4 | 8;
  /** "ro": writes are ignored. "set": writes do something, reads give 0 or a state of their own. */
  access: "ro" | "rw" | "set";
  reset: bigint;
  meaning: string;
}

export const REGISTERS: readonly Register[] = [
  {
    name: "CAP",
    offset: REG.CAP,
    width: 8,
    access: "ro",
    reset: (BigInt(CAP_HIGH) << 32n) | BigInt(CAP_LOW),
    meaning: "what the controller can do",
  },
  { name: "VS", offset: REG.VS, width: 4, access: "ro", reset: BigInt(VERSION), meaning: "version" },
  { name: "INTMS", offset: REG.INTMS, width: 4, access: "set", reset: 0n, meaning: "mask interrupts (pin based)" },
  { name: "INTMC", offset: REG.INTMC, width: 4, access: "set", reset: 0n, meaning: "unmask interrupts (pin based)" },
  { name: "CC", offset: REG.CC, width: 4, access: "rw", reset: 0n, meaning: "configuration" },
  { name: "CSTS", offset: REG.CSTS, width: 4, access: "ro", reset: 0n, meaning: "status" },
  { name: "NSSR", offset: REG.NSSR, width: 4, access: "ro", reset: 0n, meaning: "subsystem reset: not offered" },
  { name: "AQA", offset: REG.AQA, width: 4, access: "rw", reset: 0n, meaning: "sizes of the admin queues" },
  { name: "ASQ", offset: REG.ASQ, width: 8, access: "rw", reset: 0n, meaning: "address of the admin submissions" },
  { name: "ACQ", offset: REG.ACQ, width: 8, access: "rw", reset: 0n, meaning: "address of the admin completions" },
  { name: "CMBLOC", offset: REG.CMBLOC, width: 4, access: "ro", reset: 0n, meaning: "no controller memory buffer" },
  { name: "CMBSZ", offset: REG.CMBSZ, width: 4, access: "ro", reset: 0n, meaning: "no controller memory buffer" },
];

export const CSTS = {
  RDY: 1 << 0,
  /** Fatal: only a reset helps. */
  CFS: 1 << 1,
  SHST_MASK: 3 << 2,
  SHST_OCCURRING: 1 << 2,
  SHST_COMPLETE: 2 << 2,
} as const;

/** CC, decoded. */
export interface Configuration {
  enabled: boolean;
  /** I/O command set; 0 is NVM. */
  commandSet: number;
  pageShift: number;
  arbitration: number;
  /** 0 none, 1 normal, 2 abrupt. */
  shutdown: number;
  /** Powers of two. */
  sqEntry: number;
  cqEntry: number;
}

export function configurationOf(cc: number): Configuration {
  return {
    enabled: (cc & 1) !== 0,
    commandSet: (cc >>> 4) & 7,
    pageShift: (cc >>> 7) & 15,
    arbitration: (cc >>> 11) & 7,
    shutdown: (cc >>> 14) & 3,
    sqEntry: (cc >>> 16) & 15,
    cqEntry: (cc >>> 20) & 15,
  };
}
