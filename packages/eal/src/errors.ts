// The one error class of this package. Every refusal of the EAL (a wrong argument, a vdev that would not probe, an lcore
// that is busy) is an EalError whose code tells the kind and whose message says what, where and what to do about it.

/**
 * - `ARG`: a command line option is wrong; `HELP` and `VERSION`: it asked for the text in the message
 * - `DEVARGS`: a device's arguments are wrong; `VDEV`: a virtual device could not be attached or detached
 * - `LCORE`: an lcore cannot do what was asked, or failed; `RUNTIME`: the runtime directory is taken or cannot be used
 * - `STATE`: the EAL is not, or already, initialised
 */
export type EalErrorCode = "ARG" | "HELP" | "VERSION" | "DEVARGS" | "VDEV" | "LCORE" | "RUNTIME" | "STATE";

export class EalError extends Error {
  readonly code: EalErrorCode;

  constructor(code: EalErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "EalError";
    this.code = code;
  }
}

/** The message of anything that was thrown. */
export function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
