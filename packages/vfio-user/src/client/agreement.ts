// What a client has agreed on with its server, and what of it the client's own messages are held to before they leave:
// fds and bytes in one message, how many DMA regions there are, where they may lie. What breaks a limit is thrown at
// the caller, since no server would take it. Used by client.ts.

import { VfioUserError } from "../errors.ts";
import { ERRNO } from "../wire/constants.ts";
import type { Capabilities } from "../wire/version.ts";

export class Agreement {
  readonly capabilities: Capabilities;
  /** Addresses of the regions that the server has. */
  #regions = new Set<bigint>();

  constructor(capabilities: Capabilities) {
    this.capabilities = capabilities;
  }

  /** @throws VfioUserError VFU_ARGUMENT: EINVAL, EMFILE or ENOSPC */
  checkMap(iova: bigint, size: bigint, hasFd: boolean): void {
    const { maxDmaMaps, maxMsgFds, pgsizes } = this.capabilities;
    const page = smallestPage(pgsizes);
    if (iova % page !== 0n || size % page !== 0n) {
      throw refused(ERRNO.EINVAL, `0x${iova.toString(16)} and ${size} bytes are no whole pages of ${page} bytes`);
    }
    if (hasFd && maxMsgFds === 0) throw refused(ERRNO.EMFILE, "the server takes no fds: lend the memory without one");
    if (this.#regions.size >= maxDmaMaps && !this.#regions.has(iova)) {
      throw refused(ERRNO.ENOSPC, `the server takes ${maxDmaMaps} regions, and has them`);
    }
  }

  mapped(iova: bigint): void {
    this.#regions.add(iova);
  }

  unmapped(iova: bigint): void {
    this.#regions.delete(iova);
  }

  unmappedAll(): void {
    this.#regions.clear();
  }
}

/** Bytes of the smallest page in a bitmap of sizes, whose high bits no number holds exactly; 1 for an empty one. */
export function smallestPage(pgsizes: number): bigint {
  const bits = BigInt(Math.trunc(pgsizes));
  return bits === 0n ? 1n : bits & -bits;
}

function refused(errno: number, message: string): VfioUserError {
  return new VfioUserError("VFU_ARGUMENT", errno, message);
}
