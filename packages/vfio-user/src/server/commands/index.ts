// The commands that a server answers, by number; any other is answered with EINVAL. Some want more than a number: that
// they were agreed on in VERSION (write-multi.ts), or a device that has what they ask for (feature.ts, mig-data.ts).

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
