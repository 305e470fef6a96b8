// The commands that a server answers, by number. What is not here (DEVICE_FEATURE and the migration data commands) is
// never offered in VERSION and is answered with EINVAL, as any
// unknown number.

import { COMMAND } from "../../wire/constants.ts";
import type { Command } from "./command.ts";
import { dmaMapCommand, dmaUnmapCommand } from "./dma.ts";
import { deviceFeatureCommand } from "./feature.ts";
import { getInfoCommand, getIrqInfoCommand, getRegionInfoCommand } from "./info.ts";
import { getRegionIoFdsCommand } from "./io-fds.ts";
import { setIrqsCommand } from "./irqs.ts";
import { migDataReadCommand, migDataWriteCommand } from "./mig-data.ts";
import { regionReadCommand, regionWriteCommand } from "./region.ts";
import { resetCommand } from "./reset.ts";
import { regionWriteMultiCommand } from "./write-multi.ts";

export const COMMANDS: ReadonlyMap<number, Command> = new Map<number, Command>([
  [COMMAND.DMA_MAP, dmaMapCommand],
  [COMMAND.DMA_UNMAP, dmaUnmapCommand],
  [COMMAND.DEVICE_GET_INFO, getInfoCommand],
  [COMMAND.DEVICE_GET_REGION_INFO, getRegionInfoCommand],
  [COMMAND.DEVICE_GET_REGION_IO_FDS, getRegionIoFdsCommand],
  [COMMAND.DEVICE_GET_IRQ_INFO, getIrqInfoCommand],
  [COMMAND.DEVICE_SET_IRQS, setIrqsCommand],
  [COMMAND.REGION_READ, regionReadCommand],
  [COMMAND.REGION_WRITE, regionWriteCommand],
  [COMMAND.REGION_WRITE_MULTI, regionWriteMultiCommand],
  [COMMAND.DEVICE_RESET, resetCommand],
  [COMMAND.DEVICE_FEATURE, deviceFeatureCommand],
  [COMMAND.MIG_DATA_READ, migDataReadCommand],
  [COMMAND.MIG_DATA_WRITE, migDataWriteCommand],
]);
