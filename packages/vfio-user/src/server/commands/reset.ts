// DEVICE_RESET: the device goes back to its initial state; maps and interrupts stay as they are. The one command that
// has no payload in either direction.

import { refusal } from "../../errors.ts";
import { ERRNO } from "../../wire/constants.ts";
import { after, type Command, check, EMPTY } from "./command.ts";

export const resetCommand: Command<null> = {
  control: () => true,
  maxFds: 0,

  parse(message) {
    check(message.length === 0 ? null : "DEVICE_RESET has no payload");
    return null;
  },

  run(_request, { device, migration }) {
    if (!device.info.resettable) throw refusal(ERRNO.ENOTSUP, "the device does not reset");
    return after(device.reset("reset"), () => {
      migration?.reset();
      return EMPTY;
    });
  },
};
