// The package's one error class. What a device answers, or fails to answer, while the port is being configured becomes one
// of these; what it does while packets flow is counted, logged and turned into a link or reset event instead.
export type IavfErrorCode =
  /** The thing behind the socket is no AVF, or one that cannot be used. */
  | "DEVICE"
  /** The device broke the protocol: a truncated or impossible message. */
  | "PROTOCOL"
  /** The device answered a request with a failure. */
  | "REFUSED"
  /** The device did not answer in time. */
  | "TIMEOUT"
  /** The connection is gone, or the device has reset itself. */
  | "GONE"
  /** The device was reset while it was being configured. */
  | "RESET"
  /** A value of the caller that can never work. */
  | "ARG"
  /** Called in the wrong state. */
  | "STATE";

export class IavfError extends Error {
  readonly code: IavfErrorCode;

  constructor(code: IavfErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "IavfError";
    this.code = code;
  }
}

/** The message of whatever was thrown. */
export const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
