// The one error class of the application: what a user asked for cannot be done, and why. The console prints the message; on
// the command line a USAGE error ends the process with status 2, any other with 1.

export type PmdErrorCode = "USAGE" | "COMMAND" | "PORT" | "FORWARD";

export class PmdError extends Error {
  readonly code: PmdErrorCode;

  constructor(code: PmdErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "PmdError";
    this.code = code;
  }
}

/** The message of anything that was thrown. */
export function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
