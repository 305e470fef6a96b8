// The package's one error class, and the rule that turns whatever a device callback threw into the errno of a reply.
// Faults of a peer never become exceptions: they are answered by errno and counted. What is thrown is either a refusal
// (a device says no, or the other side answered with an error) or the caller's own environment (socket in use, closed).

import { ERRNO } from "./wire/constants.ts";

export type VfioUserErrorCode =
  /** The other side, or a device callback, said no: `errno` is what goes over the wire. */
  | "VFU_REFUSED"
  /** The connection is gone, or was never there. */
  | "VFU_CLOSED"
  /** No reply in time. */
  | "VFU_TIMEOUT"
  /** The peer broke the protocol (wrong reply size, malformed capabilities). */
  | "VFU_PROTOCOL"
  /** The socket address is taken, missing, or cannot be used. */
  | "VFU_ADDRESS"
  /** A device's change of state failed half-way: it is in state "error" until it is reset. */
  | "VFU_STATE_LOST"
  /** Called in the wrong state: started twice, information set after start, unknown socket or device id. */
  | "VFU_STATE"
  /** A value of the caller that can never work. */
  | "VFU_ARGUMENT";

/** `errno` is a positive Linux errno; it is what a reply carries when a device callback throws this. */
export class VfioUserError extends Error {
  readonly code: VfioUserErrorCode;
  readonly errno: number;

  constructor(code: VfioUserErrorCode, errno: number, message: string) {
    super(message);
    this.name = "VfioUserError";
    this.code = code;
    this.errno = errno;
  }
}

/** What a device callback throws to have its command answered with `errno`. */
export function refusal(errno: number, message: string): VfioUserError {
  return new VfioUserError("VFU_REFUSED", errno, message);
}

/** What MigrationOps.setState throws when the device is in neither the old state nor the new one. */
export function stateLost(errno: number, message: string): VfioUserError {
  return new VfioUserError("VFU_STATE_LOST", errno, message);
}

/** Why a connection is ended by us: the peer broke a rule or a bound. */
export function protocolError(errno: number, message: string): VfioUserError {
  return new VfioUserError("VFU_PROTOCOL", errno, message);
}

/**
 * The errno for a reply: that of a VfioUserError or LinuxError (Node's own errors carry it negated), else EIO, which
 * means the callback has a bug and the caller of this function should log it.
 */
export function errnoOf(error: unknown): number {
  const errno = (error as { errno?: unknown } | null)?.errno;
  if (typeof errno !== "number" || !Number.isInteger(errno) || errno === 0) return ERRNO.EIO;
  const positive = Math.abs(errno);
  return positive < 4096 ? positive : ERRNO.EIO;
}

/** True for errors that were meant for the wire; false for what is a bug in a callback. */
export function isExpected(error: unknown): boolean {
  return errnoOf(error) !== ERRNO.EIO || (error as { errno?: unknown } | null)?.errno === ERRNO.EIO;
}
