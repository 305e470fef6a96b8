// The register table against the facts that drivers rely on: offsets, no overlap, names.
import { expect, test } from "vitest";
import { findRegister, REG, REGISTERS, regName } from "../src/registers.ts";

test("registers are 32-bit words inside BAR0, in order, and never overlap", () => {
  let end = 0;
  for (const reg of REGISTERS) {
    expect(reg.width).toBe(4);
    expect(reg.offset % 4).toBe(0);
    expect(reg.offset, reg.name).toBeGreaterThanOrEqual(end);
    end = reg.offset + reg.stride * reg.count;
  }
  expect(end).toBeLessThanOrEqual(0x10000);
});

test("what must trap lies outside the two mappable pages", () => {
  const mapped = REGISTERS.filter(({ offset }) => offset >> 12 === 0 || offset >> 12 === 2).map(({ name }) => name);
  expect(mapped).toEqual(["QTX_TAIL1", "QRX_TAIL1", "VFINT_ITRN1"]);
});

test("offsets are those of the drivers", () => {
  expect(Object.fromEntries(REGISTERS.map(({ name, offset }) => [name, offset]))).toEqual({
    QTX_TAIL1: 0x0000,
    QRX_TAIL1: 0x2000,
    VFINT_ITRN1: 0x2800,
    VFINT_DYN_CTLN1: 0x3800,
    VFINT_ICR01: 0x4800,
    VFINT_ITR01: 0x4c00,
    VFINT_ICR0_ENA1: 0x5000,
    VFINT_STAT_CTL01: 0x5400,
    VFINT_DYN_CTL01: 0x5c00,
    VF_ARQBAH1: 0x6000,
    VF_ATQH1: 0x6400,
    VF_ATQLEN1: 0x6800,
    VF_ARQBAL1: 0x6c00,
    VF_ARQT1: 0x7000,
    VF_ARQH1: 0x7400,
    VF_ATQBAH1: 0x7800,
    VF_ATQBAL1: 0x7c00,
    VF_ARQLEN1: 0x8000,
    VF_ATQT1: 0x8400,
    VFGEN_RSTAT: 0x8800,
    VFQF_HENA: 0xc400,
    VFQF_HKEY: 0xcc00,
    VFQF_HLUT: 0xd000,
  });
  expect(REG.VFGEN_RSTAT.reset).toBe(2);
});

test("a register is found by any byte of any instance, and named", () => {
  expect(regName(0x8400)).toBe("VF_ATQT1");
  expect(regName(0x000c)).toBe("QTX_TAIL1(3)");
  expect(regName(0x2844)).toBe("VFINT_ITRN1(1,1)");
  expect(regName(0x383c)).toBe("VFINT_DYN_CTLN1(15)");
  expect(regName(0x3840)).toBe("0x3840");
  expect(findRegister(0x2041)).toBeNull();
  expect(findRegister(0x203f)).toEqual({ reg: REG.QRX_TAIL1, index: 15 });
  expect(findRegister(0x9000)).toBeNull();
});
