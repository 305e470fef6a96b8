// The one error class of this package. Every API call that cannot do what it was asked throws it; the original header's
// calls returned -1 or NULL instead, which said neither what nor why. A guest's misbehaviour never ends here: providers
// count it and answer with an errno, for which `errno` holds the number that fits.
import { ERRNO } from "@emudev/linux";

/** What went wrong, by errno name. `EmuDevError.errno` is its number. */
export type EmuDevErrorCode =
  | "EINVAL" // an argument that is never right
  | "ENODEV" // no device of that id or name
  | "EEXIST" // the name, the id or the guest range is taken
  | "EBUSY" // not in this state, or somebody still uses it
  | "ENOENT" // no such queue, vector, doorbell, attribute, region or mapping
  | "EPERM" // the caller may not write this attribute
  | "EACCES" // the file does not allow the protection asked for
  | "EFAULT" // a guest address outside every region, or not so accessible
  | "ENOSPC"; // a limit of limits.ts is reached

/** Thrown by every call of this package that fails. */
export class EmuDevError extends Error {
  readonly code: EmuDevErrorCode;
  readonly errno: number;

  constructor(code: EmuDevErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "EmuDevError";
    this.code = code;
    this.errno = ERRNO[code];
  }
}
