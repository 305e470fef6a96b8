// What happened at a device, by name: shown by the telemetry path /emu_iavf/info and read by tests. Everything a guest can
// do wrong has a counter of its own here, since it is counted instead of thrown.
export class Counters {
  /** Resets by the guest's RESET_VF, by the client (DEVICE_RESET, FLR) and by its leaving. */
  resets = 0;
  aqCommands = 0;
  aqUnknownOpcodes = 0;
  /** Tails at or beyond the queue's length. */
  aqBadTails = 0;
  /** Queue lengths that are no length, or a base that is not aligned. */
  aqBadQueues = 0;
  /** Descriptors whose buffer is too long, missing or outside guest memory. */
  aqBadDescriptors = 0;
  /** Descriptor rings that could not be read or written. */
  aqFaults = 0;
  arqMessages = 0;
  /** Messages that found the backlog full, or a buffer too small. */
  arqDropped = 0;
  vcMessages = 0;
  /** Answered ERR_PARAM. */
  vcInvalid = 0;
  /** Answered ERR_NOT_SUPPORTED. */
  vcNotSupported = 0;
  linkEvents = 0;
  unknownReads = 0;
  unknownWrites = 0;
  /** Accesses that are not of 4 bytes, aligned, inside the BAR. */
  badAccesses = 0;
}
