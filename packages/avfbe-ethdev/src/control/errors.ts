// The one error class of this package, for what its user can do wrong: devargs that name no device or the wrong kind of one.
// What the guest does wrong is counted (layout/guest-queue.ts) and never thrown.

/** `DEVARGS`: an argument names something that is not there or taken; `DEVICE`: the emulated device is of another type. */
export type AvfbeErrorCode = "DEVARGS" | "DEVICE";

export class AvfbeError extends Error {
  readonly code: AvfbeErrorCode;

  constructor(code: AvfbeErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "AvfbeError";
    this.code = code;
  }
}
