// Status of a command as it stands in its completion (NVM Express Base Specification 1.4, 4.6.1): status code in the low
// byte, type above it. A command that fails throws StatusError; engine.ts turns it into the completion's status field.

const SPECIFIC = 1 << 8;
const MEDIA = 2 << 8;

export const STATUS = {
  SUCCESS: 0x00,
  INVALID_OPCODE: 0x01,
  INVALID_FIELD: 0x02,
  DATA_TRANSFER_ERROR: 0x04,
  INTERNAL_ERROR: 0x06,
  ABORT_REQUESTED: 0x07,
  INVALID_NAMESPACE: 0x0b,
  COMMAND_SEQUENCE: 0x0c,
  INVALID_PRP_OFFSET: 0x13,
  LBA_OUT_OF_RANGE: 0x80,
  INVALID_COMPLETION_QUEUE: SPECIFIC | 0x00,
  INVALID_QUEUE_ID: SPECIFIC | 0x01,
  INVALID_QUEUE_SIZE: SPECIFIC | 0x02,
  ABORT_LIMIT: SPECIFIC | 0x03,
  EVENT_REQUEST_LIMIT: SPECIFIC | 0x05,
  INVALID_VECTOR: SPECIFIC | 0x08,
  INVALID_LOG_PAGE: SPECIFIC | 0x09,
  INVALID_QUEUE_DELETION: SPECIFIC | 0x0c,
  FEATURE_NOT_SAVEABLE: SPECIFIC | 0x0d,
  FEATURE_NOT_CHANGEABLE: SPECIFIC | 0x0e,
  WRITE_FAULT: MEDIA | 0x80,
  UNRECOVERED_READ: MEDIA | 0x81,
} as const;

/** Retrying would end the same way: true of all that is wrong with the command itself. */
const DO_NOT_RETRY = 1 << 14;
const RETRIABLE: ReadonlySet<number> = new Set([
  STATUS.SUCCESS,
  STATUS.DATA_TRANSFER_ERROR,
  STATUS.INTERNAL_ERROR,
  STATUS.ABORT_REQUESTED,
]);

/** The status field without its phase bit, 15 bits: code, type, Do Not Retry. */
export function statusField(status: number): number {
  return RETRIABLE.has(status) || status >= MEDIA ? status : status | DO_NOT_RETRY;
}

export class StatusError extends Error {
  readonly status: number;

  constructor(status: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "StatusError";
    this.status = status;
  }
}

/** Throws `status` unless `condition` holds. */
export function demand(condition: boolean, status: number, message: string): void {
  if (!condition) throw new StatusError(status, message);
}
