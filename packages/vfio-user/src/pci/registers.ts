// Offsets and bits of PCI configuration space: the type 0 header and the capabilities that config.ts can make (PCI
// Local Bus 3.0 chapter 6, PCI Power Management 1.2, PCI Express Base 3.0 sections 7.8 to 7.19, MSI and MSI-X in PCI Local
// Bus 3.0 section 6.8).

/** Type 0 header, byte offsets. */
export const HEADER = {
  VENDOR_ID: 0x00,
  DEVICE_ID: 0x02,
  COMMAND: 0x04,
  STATUS: 0x06,
  REVISION_ID: 0x08,
  CLASS_CODE: 0x09,
  CACHE_LINE_SIZE: 0x0c,
  HEADER_TYPE: 0x0e,
  BAR0: 0x10,
  SUBSYSTEM_VENDOR_ID: 0x2c,
  SUBSYSTEM_ID: 0x2e,
  EXPANSION_ROM: 0x30,
  CAPABILITIES: 0x34,
  INTERRUPT_LINE: 0x3c,
  INTERRUPT_PIN: 0x3d,
  /** First byte that capabilities may take. */
  END: 0x40,
} as const;

export const COMMAND_BIT = { IO: 1, MEMORY: 2, BUS_MASTER: 4, PARITY: 0x40, SERR: 0x100, INTX_DISABLE: 0x400 } as const;
/** Bits of the command register that a driver may write. */
export const COMMAND_WRITABLE = 0x0547;
export const STATUS_INTERRUPT = 0x08;
export const STATUS_CAPABILITIES = 0x10;
/** Status bits that report errors and are cleared by writing 1. */
export const STATUS_W1C = 0xf900;

/** Expansion ROM base address: bit 0 enables it, the address begins at bit 11. */
export const ROM = { ENABLE: 1, MIN_BYTES: 2048 } as const;

export const BAR_TYPE = { IO: 1, MEMORY_64: 4, PREFETCHABLE: 8 } as const;

export const CAP_ID = { PM: 0x01, MSI: 0x05, VENDOR: 0x09, PCIE: 0x10, MSIX: 0x11 } as const;
export const EXT_CAP_ID = { DSN: 0x03, VENDOR: 0x0b } as const;

/** Power management capability: 8 bytes. */
export const PM = {
  PMC: 2,
  PMCSR: 4,
  SIZE: 8,
  VERSION_3: 3,
  NO_SOFT_RESET: 8,
  PMCSR_WRITABLE: 0x0103,
  PME_STATUS: 0x8000,
} as const;

/** PCI Express capability, version 2: 60 bytes. */
export const PCIE = {
  CAPABILITIES: 0x02,
  DEVICE_CAPABILITIES: 0x04,
  DEVICE_CONTROL: 0x08,
  DEVICE_STATUS: 0x0a,
  LINK_CAPABILITIES: 0x0c,
  LINK_CONTROL: 0x10,
  LINK_STATUS: 0x12,
  DEVICE_CONTROL_2: 0x28,
  LINK_CAPABILITIES_2: 0x2c,
  LINK_CONTROL_2: 0x30,
  SIZE: 0x3c,
  VERSION_2: 2,
  /** Device Capabilities: role-based error reporting, and Function Level Reset. */
  ROLE_BASED_ERRORS: 1 << 15,
  FLR_CAPABLE: 1 << 28,
  /** Device Control: everything but the bit that starts a Function Level Reset and reads as 0. */
  DEVICE_CONTROL_WRITABLE: 0x7fff,
  START_FLR: 0x8000,
  DEVICE_STATUS_W1C: 0x000f,
  LINK_CONTROL_WRITABLE: 0x01fb,
  DEVICE_CONTROL_2_WRITABLE: 0x001f,
} as const;

/** MSI-X capability: 12 bytes; a table entry has 16 bytes, the pending bits of 64 vectors 8. */
export const MSIX = {
  CONTROL: 2,
  TABLE: 4,
  PBA: 8,
  SIZE: 12,
  FUNCTION_MASK: 0x4000,
  ENABLE: 0x8000,
  MAX_VECTORS: 2048,
  ENTRY_SIZE: 16,
} as const;

/** MSI capability; where data, mask and pending bits lie depends on the control bits (capability-spec.ts). */
export const MSI = {
  CONTROL: 2,
  ADDRESS: 4,
  ENABLE: 1,
  /** log2 of the vectors that the device can use, and of those that the driver has given it. */
  CAPABLE_SHIFT: 1,
  ENABLED_SHIFT: 4,
  COUNT_MASK: 7,
  ADDRESS_64: 0x80,
  MASKABLE: 0x100,
  CONTROL_WRITABLE: 0x71,
  MAX_VECTORS: 32,
} as const;

/** Vendor-specific capability: id, next, length, then data. */
export const VENDOR = { LENGTH: 2, HEADER: 3 } as const;

/** Extended capabilities begin with id (16 bits), version (4) and next (12). */
export const EXTENDED = { START: 0x100, HEADER: 4, VERSION_1: 1 << 16, NEXT_SHIFT: 20 } as const;
export const DSN = { SERIAL: 4, SIZE: 12 } as const;
/** Vendor-specific extended capability: header, then VSEC id (16 bits), revision (4) and length (12). */
export const VSEC = { ID: 4, HEADER: 8, REVISION_SHIFT: 16, LENGTH_SHIFT: 20 } as const;
