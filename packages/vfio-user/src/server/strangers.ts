// The connections that have not got the device: each with a limit in time until its VERSION, and few of them altogether,
// so that nobody is kept out by those who only connect. Used by server.ts.

import { protocolError } from "../errors.ts";
import { ERRNO } from "../wire/constants.ts";
import type { Session } from "./session.ts";

const MAX_STRANGERS = 64;

interface Stranger {
  session: Session;
  /** May not have the device, and so is the first to go. */
  unwelcome: boolean;
  cancel(): void;
}

export class Strangers {
  /** In the order of arrival. An array, since it outlives them all: see the note in watch.ts of `linux`. */
  readonly #list: Stranger[] = [];

  /** Takes in a connection; it may have to leave at once, or another in its place. @param cancel ends its time limit */
  add(session: Session, unwelcome: boolean, cancel: () => void): void {
    const list = this.#list;
    list.push({ session, unwelcome, cancel });
    if (list.length <= MAX_STRANGERS) return;
    const { session: leaves } = list.find((each) => each.unwelcome) ?? (list[0] as Stranger);
    leaves.connection.close(protocolError(ERRNO.EBUSY, "too many connections wait for the device"));
  }

  isUnwelcome(session: Session): boolean {
    return this.#list.some((each) => each.session === session && each.unwelcome);
  }

  /** It has got the device, or is gone. */
  remove(session: Session): void {
    const at = this.#list.findIndex((each) => each.session === session);
    if (at < 0) return;
    this.#list[at]?.cancel();
    this.#list.splice(at, 1);
  }

  closeAll(): void {
    for (const { session } of [...this.#list]) session.connection.close();
  }
}
