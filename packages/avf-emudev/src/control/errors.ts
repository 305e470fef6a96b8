// The one error class of this package: wrong use by an application or a fault of the environment. What a guest does wrong is
// counted (counters.ts) and answered on the admin queue, never thrown.
export type AvfEmuErrorCode = "DEVARGS" | "ENODEV" | "EINVAL" | "ENOMEM";

export class AvfEmuError extends Error {
  readonly code: AvfEmuErrorCode;

  constructor(code: AvfEmuErrorCode, message: string) {
    super(message);
    this.name = "AvfEmuError";
    this.code = code;
  }
}
