// `show emulated DEVICE`: what a device that this process emulates is doing, as telemetry's /emu_iavf/info tells it.
import { names, show } from "@emudev/avf-emudev";
import { PmdError } from "../errors.ts";
import type { Pmd } from "../pmd.ts";
import type { Args } from "./parser.ts";

export function showEmulated(pmd: Pmd, { device }: Args): void {
  const shown = show(device as string);
  if (shown === null) throw noDevice(device as string);
  pmd.out(`\n********************* Emulated device ${device} *********************\n${lines(shown, "").join("\n")}\n`);
}

export function noDevice(name: string): PmdError {
  return new PmdError("COMMAND", `There is no emulated device '${name}'; there are ${names().join(", ") || "none"}`);
}

function lines(values: Readonly<Record<string, unknown>>, indent: string): string[] {
  return Object.entries(values).flatMap(([name, value]) => {
    if (Array.isArray(value)) return [`${indent}${name}: ${value.join("; ") || "none"}`];
    if (typeof value !== "object" || value === null) return [`${indent}${name}: ${value ?? "none"}`];
    return [`${indent}${name}:`, ...lines(value as Record<string, unknown>, `${indent}  `)];
  });
}
