// Fields of the interrupt registers VFINT_DYN_CTL01, VFINT_DYN_CTLN1, VFINT_ICR01 and VFINT_ICR0_ENA1, and the ITR scale.
// Compiled by both tsc and asc.
export const DYN_CTL_INTENA = 1 << 0; // enabled; cleared by the device when the interrupt fires
export const DYN_CTL_CLEARPBA = 1 << 1; // drop what is pending
export const DYN_CTL_SWINT_TRIG = 1 << 2; // fire a software interrupt
export const DYN_CTL_ITR_INDX_SHIFT = 3;
export const DYN_CTL_ITR_INDX_MASK = 0x3;
export const DYN_CTL_INTERVAL_SHIFT = 5;
export const DYN_CTL_INTERVAL_MASK = 0xfff;
export const DYN_CTL_SW_ITR_INDX_ENA = 1 << 24;
export const DYN_CTL_SW_ITR_INDX_SHIFT = 25;
export const DYN_CTL_SW_ITR_INDX_MASK = 0x3;
export const DYN_CTL_WB_ON_ITR = 1 << 30; // DYN_CTLN1 only
export const DYN_CTL_INTENA_MSK = 1 << 31; // set: this write does not change INTENA

export const ITR_INDEX_RX = 0;
export const ITR_INDEX_TX = 1;
export const ITR_INDEX_NONE = 3; // "no ITR update" in DYN_CTL, "no ITR" in a vector map
export const ITR_UNIT_US = 2; // an interval counts units of 2 microseconds
export const ITR_INTERVAL_MASK = 0xfff;

export const ICR0_INTEVENT = 1 << 0;
export const ICR0_LINK_STAT_CHANGE = 1 << 25;
export const ICR0_ADMINQ = 1 << 30;
export const ICR0_SWINT = 1 << 31;
