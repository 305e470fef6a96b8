// The AVF's transmit descriptors, 16 bytes: the data descriptor (buffer address, then command word) and the context
// descriptor that carries TSO parameters and a second VLAN tag. Shifts named QW1 are within the 64-bit second word; shifts
// named HI are within its upper 32 bits. Written by the guest's driver, read by the backend, which completes a descriptor by
// setting its type to TX_DTYPE_DONE. Compiled by both tsc and asc.
export const TX_DESC_BYTES = 16;
export const TX_DESC_ADDR = 0; // u64 buffer address (data descriptor)
export const TX_DESC_QW1 = 8; // u64 type, command, offsets, size, tag
export const TX_DESC_QW1_HI = 12; // u32 upper half of it

export const TX_DTYPE_MASK = 0xf;
export const TX_DTYPE_DATA = 0x0;
export const TX_DTYPE_CONTEXT = 0x1;
export const TX_DTYPE_DONE = 0xf; // written back by the device

// Data descriptor: command bits, [15:4] of qword 1
export const TX_CMD_SHIFT = 4;
export const TX_CMD_MASK = 0xfff;
export const TX_CMD_EOP = 0x001; // last descriptor of the packet
export const TX_CMD_RS = 0x002; // report status
export const TX_CMD_ICRC = 0x004;
export const TX_CMD_IL2TAG1 = 0x008; // insert L2TAG1 as VLAN tag
export const TX_CMD_DUMMY = 0x010;
export const TX_CMD_IIPT_MASK = 0x060;
export const TX_CMD_IIPT_NONE = 0x000;
export const TX_CMD_IIPT_IPV6 = 0x020;
export const TX_CMD_IIPT_IPV4 = 0x040; // without header checksum
export const TX_CMD_IIPT_IPV4_CSUM = 0x060;
export const TX_CMD_L4T_MASK = 0x300;
export const TX_CMD_L4T_NONE = 0x000;
export const TX_CMD_L4T_TCP = 0x100;
export const TX_CMD_L4T_SCTP = 0x200;
export const TX_CMD_L4T_UDP = 0x300;

// Data descriptor: header lengths, [33:16] of qword 1 taken as one 18-bit field
export const TX_OFFSET_SHIFT = 16; // QW1
export const TX_OFFSET_MASK = 0x3ffff;
export const TX_MACLEN_SHIFT = 0; // within the field; 2-byte words
export const TX_MACLEN_MASK = 0x7f;
export const TX_IPLEN_SHIFT = 7; // 4-byte words
export const TX_IPLEN_MASK = 0x7f;
export const TX_L4LEN_SHIFT = 14; // 4-byte words
export const TX_L4LEN_MASK = 0xf;

// Data descriptor: size and tag
export const TX_BUF_SIZE_SHIFT = 34; // QW1
export const TX_BUF_SIZE_HI_SHIFT = 2;
export const TX_BUF_SIZE_MASK = 0x3fff; // 14 bits: at most 16383 bytes a descriptor
export const TX_L2TAG1_SHIFT = 48; // QW1
export const TX_L2TAG1_HI_SHIFT = 16;
export const TX_L2TAG1_MASK = 0xffff;

// Context descriptor: qword 0 is tunnelling in [31:0] and L2TAG2 in [47:32]
export const TX_CTX_TUNNEL = 0; // u32
export const TX_CTX_L2TAG2 = 4; // u16
export const TX_CTX_EIPT_MASK = 0x3;
export const TX_CTX_EIPLEN_SHIFT = 2;
export const TX_CTX_EIPLEN_MASK = 0x3f;
export const TX_CTX_L4TUNT_SHIFT = 9;
export const TX_CTX_L4TUNT_MASK = 0x3;
export const TX_CTX_EIP_NOINC = 0x800;
export const TX_CTX_L4TUNLEN_SHIFT = 12;
export const TX_CTX_L4TUNLEN_MASK = 0x7f;

// Context descriptor: commands from bit 4 of qword 1
export const TX_CTX_CMD_SHIFT = 4;
export const TX_CTX_CMD_MASK = 0x7f;
export const TX_CTX_CMD_TSO = 0x01;
export const TX_CTX_CMD_TSYN = 0x02;
export const TX_CTX_CMD_IL2TAG2 = 0x04;
export const TX_CTX_CMD_IL2TAG2_IL2H = 0x08;
export const TX_CTX_CMD_SWITCH_MASK = 0x30;
export const TX_CTX_TSO_LEN_SHIFT = 30; // QW1, payload bytes of the whole TSO packet
export const TX_CTX_TSO_LEN_MASK = 0x3ffff;
export const TX_CTX_MSS_SHIFT = 50; // QW1
export const TX_CTX_MSS_HI_SHIFT = 18;
export const TX_CTX_MSS_MASK = 0x3fff;
