// The PCI Express capability (PCI Express Base 3.0, 7.8) in the words of `lspci -vv`: device, link, and version 2's second
// registers. What slots and root ports have besides is left out, as no vfio-user device is one.
import { pci } from "@emudev/vfio-user";
import { type Bits, bitFields, bitText, type Decoded, type Space } from "./space.ts";

const TYPES: Readonly<Record<number, string>> = {
  0: "Endpoint",
  1: "Legacy Endpoint",
  4: "Root Port",
  5: "Upstream Port",
  6: "Downstream Port",
  7: "PCI-Express to PCI/PCI-X Bridge",
  8: "PCI/PCI-X to PCI-Express Bridge",
  9: "Root Complex Integrated Endpoint",
  10: "Root Complex Event Collector",
};
const SPEEDS = ["unknown", "2.5GT/s", "5GT/s", "8GT/s", "16GT/s", "32GT/s", "64GT/s"];
const ASPM = ["not supported", "L0s", "L1", "L0s L1"];
const L0S = ["<64ns", "<128ns", "<256ns", "<512ns", "<1us", "<2us", "<4us", "unlimited"];
const L1 = ["<1us", "<2us", "<4us", "<8us", "<16us", "<32us", "<64us", "unlimited"];

const DEVCAP: Bits = {
  ExtTag: 0x20,
  AttnBtn: 0x1000,
  AttnInd: 0x2000,
  PwrInd: 0x4000,
  RBE: pci.PCIE.ROLE_BASED_ERRORS,
  FLReset: pci.PCIE.FLR_CAPABLE,
};
const ERRORS: Bits = { CorrErr: 1, NonFatalErr: 2, FatalErr: 4, UnsupReq: 8 };
const DEVCTL: Bits = { RlxdOrd: 0x10, ExtTag: 0x100, PhantFunc: 0x200, AuxPwr: 0x400, NoSnoop: 0x800 };
const DEVSTA: Bits = { ...ERRORS, AuxPwr: 0x10, TransPend: 0x20 };
const LNKCTL: Bits = { Disabled: 0x10, CommClk: 0x40, ExtSynch: 0x80 };
const LNKSTA: Bits = { TrErr: 0x400, Train: 0x800, SlotClk: 0x1000, DLActive: 0x2000 };
const DEVCAP2: Bits = { TimeoutDis: 0x10, ARIFwd: 0x20, LTR: 0x800 };
const DEVCTL2: Bits = { TimeoutDis: 0x10, ARIFwd: 0x20, LTR: 0x400 };

export function express(space: Space, at: number): Decoded {
  const flags = space.u16(at + pci.PCIE.CAPABILITIES);
  const version = flags & 15;
  const type = TYPES[(flags >> 4) & 15] ?? `type ${(flags >> 4) & 15}`;
  const device = deviceRegisters(space, at);
  const link = linkRegisters(space, at);
  const second = version >= 2 ? secondRegisters(space, at) : { lines: [], fields: {} };
  return {
    name: "pcie",
    title: `Express (v${version}) ${type}, IntMsgNum ${(flags >> 9) & 31}`,
    lines: [...device.lines, ...link.lines, ...second.lines],
    fields: { version, type, ...device.fields, ...link.fields, ...second.fields },
  };
}

type Part = Pick<Decoded, "lines" | "fields">;

function deviceRegisters(space: Space, at: number): Part {
  const cap = space.u32(at + pci.PCIE.DEVICE_CAPABILITIES);
  const control = space.u16(at + pci.PCIE.DEVICE_CONTROL);
  const status = space.u16(at + pci.PCIE.DEVICE_STATUS);
  const payload = (code: number): number => 128 << (code & 7);
  const latency = `Latency L0s ${L0S[(cap >> 6) & 7]}, L1 ${L1[(cap >> 9) & 7]}`;
  return {
    lines: [
      `DevCap:\tMaxPayload ${payload(cap)} bytes, PhantFunc ${(cap >> 3) & 3}, ${latency}`,
      `\t${bitText(cap, DEVCAP)}`,
      `DevCtl:\t${bitText(control, ERRORS)}`,
      `\t${bitText(control, DEVCTL)}`,
      `\tMaxPayload ${payload(control >> 5)} bytes, MaxReadReq ${payload(control >> 12)} bytes`,
      `DevSta:\t${bitText(status, DEVSTA)}`,
    ],
    fields: {
      devCap: { maxPayload: payload(cap), ...bitFields(cap, DEVCAP) },
      devCtl: {
        maxPayload: payload(control >> 5),
        maxReadReq: payload(control >> 12),
        ...bitFields(control, { ...ERRORS, ...DEVCTL }),
      },
      devSta: bitFields(status, DEVSTA),
    },
  };
}

function linkRegisters(space: Space, at: number): Part {
  const cap = space.u32(at + pci.PCIE.LINK_CAPABILITIES);
  const control = space.u16(at + pci.PCIE.LINK_CONTROL);
  const status = space.u16(at + pci.PCIE.LINK_STATUS);
  const speed = (code: number): string => SPEEDS[code & 15] ?? "unknown";
  const width = (code: number): string => `x${(code >> 4) & 63}`;
  const aspm = (control & 3) === 0 ? "Disabled" : `${ASPM[control & 3]} Enabled`;
  return {
    lines: [
      `LnkCap:\tPort #${cap >>> 24}, Speed ${speed(cap)}, Width ${width(cap)}, ASPM ${ASPM[(cap >> 10) & 3]}`,
      `LnkCtl:\tASPM ${aspm}; ${bitText(control, LNKCTL)}`,
      `LnkSta:\tSpeed ${speed(status)}, Width ${width(status)}`,
      `\t${bitText(status, LNKSTA)}`,
    ],
    fields: {
      lnkCap: { port: cap >>> 24, speed: speed(cap), width: (cap >> 4) & 63 },
      lnkCtl: bitFields(control, LNKCTL),
      lnkSta: { speed: speed(status), width: (status >> 4) & 63, ...bitFields(status, LNKSTA) },
    },
  };
}

function secondRegisters(space: Space, at: number): Part {
  const cap = space.u32(at + pci.PCIE.DEVICE_CONTROL_2 - 4);
  const control = space.u16(at + pci.PCIE.DEVICE_CONTROL_2);
  return {
    lines: [`DevCap2: ${bitText(cap, DEVCAP2)}`, `DevCtl2: ${bitText(control, DEVCTL2)}`],
    fields: { devCap2: bitFields(cap, DEVCAP2), devCtl2: bitFields(control, DEVCTL2) },
  };
}
