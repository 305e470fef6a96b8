// What lcores may use of this package.

export { getAffinity, setAffinity } from "../affinity.ts";
export { ERRNO, errnoName } from "../errors.ts";
export { setTimerSlack } from "../timer-slack.ts";
export { readAt, waitEvents, writeAt } from "./calls.ts";
export { readClock } from "./clock.ts";
export { endSignals, signalEventfd } from "./signal.ts";
