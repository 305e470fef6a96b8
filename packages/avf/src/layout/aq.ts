// The admin queue: descriptor layout, flags, opcodes and return codes, and the fields of its length registers. All words
// little endian. Compiled by both tsc and asc.
export const AQ_DESC_BYTES = 32;
export const AQ_DESC_FLAGS = 0; // u16
export const AQ_DESC_OPCODE = 2; // u16
export const AQ_DESC_DATALEN = 4; // u16
export const AQ_DESC_RETVAL = 6; // u16
export const AQ_DESC_COOKIE_HIGH = 8; // u32: virtchnl op
export const AQ_DESC_COOKIE_LOW = 12; // u32: virtchnl status
export const AQ_DESC_PARAM0 = 16; // u32
export const AQ_DESC_PARAM1 = 20; // u32
export const AQ_DESC_ADDR_HIGH = 24; // u32
export const AQ_DESC_ADDR_LOW = 28; // u32

export const AQ_FLAG_DD = 0x0001; // done
export const AQ_FLAG_CMP = 0x0002; // complete
export const AQ_FLAG_ERR = 0x0004;
export const AQ_FLAG_VFE = 0x0008;
export const AQ_FLAG_LB = 0x0200; // buffer is larger than AQ_LARGE_BUF
export const AQ_FLAG_RD = 0x0400; // device reads the buffer
export const AQ_FLAG_VFC = 0x0800;
export const AQ_FLAG_BUF = 0x1000; // there is a buffer
export const AQ_FLAG_SI = 0x2000;
export const AQ_FLAG_EI = 0x4000;
export const AQ_FLAG_FE = 0x8000;
export const AQ_LARGE_BUF = 512;
export const AQ_BUF_MAX = 4096; // what Linux and DPDK give each buffer

export const AQ_OP_GET_VERSION = 0x0001;
export const AQ_OP_QUEUE_SHUTDOWN = 0x0003; // param0 bit 0: the driver is unloading
export const AQ_OP_SEND_MSG_TO_PF = 0x0801;
export const AQ_OP_SEND_MSG_TO_VF = 0x0802;

export const AQ_RC_OK = 0;
export const AQ_RC_EPERM = 1;
export const AQ_RC_ENOENT = 2;
export const AQ_RC_ESRCH = 3; // unknown opcode
export const AQ_RC_EINTR = 4;
export const AQ_RC_EIO = 5;
export const AQ_RC_ENXIO = 6;
export const AQ_RC_E2BIG = 7;
export const AQ_RC_EAGAIN = 8;
export const AQ_RC_ENOMEM = 9;
export const AQ_RC_EACCES = 10;
export const AQ_RC_EFAULT = 11;
export const AQ_RC_EBUSY = 12;
export const AQ_RC_EEXIST = 13;
export const AQ_RC_EINVAL = 14;
export const AQ_RC_ENOTTY = 15;
export const AQ_RC_ENOSPC = 16;
export const AQ_RC_ENOSYS = 17;
export const AQ_RC_ERANGE = 18;
export const AQ_RC_EFLUSHED = 19;
export const AQ_RC_BAD_ADDR = 20;
export const AQ_RC_EMODE = 21;
export const AQ_RC_EFBIG = 22;

// VF_ATQLEN1, VF_ARQLEN1; heads and tails use AQ_INDEX_MASK too
export const AQ_INDEX_MASK = 0x3ff;
export const AQ_LEN_VFE = 1 << 28;
export const AQ_LEN_OVFL = 1 << 29;
export const AQ_LEN_CRIT = 1 << 30;
export const AQ_LEN_ENABLE = 1 << 31;

// VFGEN_RSTAT
export const RSTAT_INPROGRESS = 0;
export const RSTAT_COMPLETED = 1;
export const RSTAT_VFACTIVE = 2;
