// The one error class of this package: what a user gave that cannot be (DEVARGS), and what the machine refuses
// (SYSTEM).
export type SoftEthdevErrorCode = "DEVARGS" | "SYSTEM";

export class SoftEthdevError extends Error {
  readonly code: SoftEthdevErrorCode;

  constructor(code: SoftEthdevErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "SoftEthdevError";
    this.code = code;
  }
}
