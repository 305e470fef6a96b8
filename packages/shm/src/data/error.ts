// The errors of this package: misuse and lack of memory in set-up calls. Burst operations never throw these.

export type ShmErrorCode = "EINVAL" | "EEXIST" | "ENOENT" | "ENOMEM";

export class ShmError extends Error {
  readonly code: ShmErrorCode;

  constructor(code: ShmErrorCode, message: string) {
    super(message);
    this.name = "ShmError";
    this.code = code;
  }
}

/** Throws EINVAL unless `value` is an integer in [min, max]. */
export function checkInteger(what: string, value: number, min: number, max: number): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  throw new ShmError("EINVAL", `${what} is ${value}: it must be an integer from ${min} to ${max}`);
}
