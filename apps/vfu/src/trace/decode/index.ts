// The decoder of each command, by number. A command without a payload, one that nobody knows and a reply that carries an error
// are decoded here.
import { COMMAND, commandName } from "@emudev/vfio-user";
import { regionRead, regionWrite, regionWriteMulti } from "./access.ts";
import { dmaMap, dmaRead, dmaUnmap, dmaWrite } from "./dma.ts";
import { deviceFeature } from "./feature.ts";
import { deviceInfo, irqInfo, regionInfo } from "./info.ts";
import { regionIoFds } from "./io-fds.ts";
import { setIrqs } from "./irqs.ts";
import { migDataRead, migDataWrite } from "./mig-data.ts";
import { dataText } from "./text.ts";
import { type Decoded, type Decoder, decoded, type Names, type Payload, type Style } from "./types.ts";
import { version } from "./version.ts";

/** Number of the retired command of the first migration protocol. */
const DIRTY_PAGES = 14;

const DECODERS: Record<number, Decoder | undefined> = {
  [COMMAND.VERSION]: version,
  [COMMAND.DMA_MAP]: dmaMap,
  [COMMAND.DMA_UNMAP]: dmaUnmap,
  [COMMAND.DEVICE_GET_INFO]: deviceInfo,
  [COMMAND.DEVICE_GET_REGION_INFO]: regionInfo,
  [COMMAND.DEVICE_GET_REGION_IO_FDS]: regionIoFds,
  [COMMAND.DEVICE_GET_IRQ_INFO]: irqInfo,
  [COMMAND.DEVICE_SET_IRQS]: setIrqs,
  [COMMAND.REGION_READ]: regionRead,
  [COMMAND.REGION_WRITE]: regionWrite,
  [COMMAND.DMA_READ]: dmaRead,
  [COMMAND.DMA_WRITE]: dmaWrite,
  [COMMAND.DEVICE_RESET]: reset,
  [DIRTY_PAGES]: (payload, _names, style) => raw(payload, style, null),
  [COMMAND.REGION_WRITE_MULTI]: regionWriteMulti,
  [COMMAND.DEVICE_FEATURE]: deviceFeature,
  [COMMAND.MIG_DATA_READ]: migDataRead,
  [COMMAND.MIG_DATA_WRITE]: migDataWrite,
};

export function nameOf(command: number): string {
  return command === DIRTY_PAGES ? "DIRTY_PAGES" : commandName(command);
}

/** The payload of a command, or of a reply without the error flag. */
export function decode(command: number, payload: Payload, names: Names, style: Style): Decoded {
  const decoder = DECODERS[command];
  return decoder === undefined
    ? raw(payload, style, `command ${command} is not known`)
    : decoder(payload, names, style);
}

function reset({ length }: Payload): Decoded {
  return decoded("", {}, length === 0 ? null : `${length} bytes of payload, where there are none`);
}

function raw({ body, length }: Payload, style: Style, fault: string | null): Decoded {
  return decoded(length === 0 ? "" : dataText(body, length, style), { payload: body.slice() }, fault);
}
