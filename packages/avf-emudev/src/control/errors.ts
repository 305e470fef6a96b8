// The one error class of this package, for what its user can do something about: a state file that cannot be used, a
// fault that cannot be injected. What a guest does wrong is counted (counters.ts) and answered, never thrown.

/**
 * - `STATE_FILE`: it cannot be opened, made or mapped
 * - `STATE_LOCKED`: another device has it
 * - `STATE_DAMAGED`: it is no state file, or not whole
 * - `STATE_MISFIT`: it is whole, and of another device than this one
 * - `FAULT`: there is no such fault, or it cannot be had now
 */
export type EmuIavfErrorCode = "STATE_FILE" | "STATE_LOCKED" | "STATE_DAMAGED" | "STATE_MISFIT" | "FAULT";

export class EmuIavfError extends Error {
  readonly code: EmuIavfErrorCode;

  constructor(code: EmuIavfErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "EmuIavfError";
    this.code = code;
  }
}
