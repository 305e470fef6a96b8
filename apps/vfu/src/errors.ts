// The one error class of the application: what a user asked for cannot be done, and why. Its code decides the exit status,
// so that a script can tell a wrong command line from a device that said no, and that from one that somebody else has.

/** USAGE the command line; TARGET the device or server said no; NOBODY no server answered; BUSY another client has it. */
export type VfuErrorCode = "USAGE" | "TARGET" | "NOBODY" | "BUSY";

/** Exit statuses; 0 is all well. */
export const STATUS: Readonly<Record<VfuErrorCode, number>> = { TARGET: 1, USAGE: 2, NOBODY: 3, BUSY: 4 };

export class VfuError extends Error {
  readonly code: VfuErrorCode;

  constructor(code: VfuErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "VfuError";
    this.code = code;
  }
}

/** A wrong command line. */
export function usage(message: string): VfuError {
  return new VfuError("USAGE", message);
}

/** The message of anything that was thrown. */
export function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
