// The guest lab's one error class. Every part of the lab (fetching, booting, the agent, testpmd, namespaces) throws it;
// the tests turn the codes that mean "this machine cannot" into a skip with its reason, see requirements.ts.

export type LabErrorCode = "PLATFORM" | "TOOL" | "MIRROR" | "FETCH" | "BOOT" | "GONE" | "TIMEOUT" | "COMMAND";

/** A failure of the lab: what was tried, on what, and what to do about it. */
export class LabError extends Error {
  readonly code: LabErrorCode;
  constructor(code: LabErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "LabError";
    this.code = code;
  }
}
