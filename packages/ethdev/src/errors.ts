// The one error class of this package; the codes follow the errno that rte_ethdev's functions return for the same mistake.

/**
 * - `NODEV`: no such port, or it is closed; `STATE`: not in this state of the port (-EBUSY of a started port)
 * - `INVAL`: an argument outside the port's limits; `NOTSUP`: the driver has no such operation
 * - `BUSY`: another operation on the port is under way; `LIMIT`: no free port id; `EXISTS`: the name is taken
 */
export type EthDevErrorCode = "NODEV" | "STATE" | "INVAL" | "NOTSUP" | "BUSY" | "LIMIT" | "EXISTS";

export class EthDevError extends Error {
  readonly code: EthDevErrorCode;

  constructor(code: EthDevErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "EthDevError";
    this.code = code;
  }
}
