// Every message of the protocol as a codec: SIZE (bytes of the fixed part), encodeInto, decode (null when cut short)
// and invalid (a sentence, or null). Payload offsets are behind the header.

export * as deviceFeature from "./device-feature.ts";
export * as deviceInfo from "./device-info.ts";
export * as dmaAccess from "./dma-access.ts";
export * as dmaLogging from "./dma-logging.ts";
export * as dmaMap from "./dma-map.ts";
export * as dmaUnmap from "./dma-unmap.ts";
export * as header from "./header.ts";
export * as irqInfo from "./irq-info.ts";
export * as migData from "./mig-data.ts";
export * as migState from "./mig-state.ts";
export * as regionAccess from "./region-access.ts";
export * as regionInfo from "./region-info.ts";
export * as regionIoFds from "./region-io-fds.ts";
export * as regionWriteMulti from "./region-write-multi.ts";
export * as setIrqs from "./set-irqs.ts";
export * as version from "./version.ts";
