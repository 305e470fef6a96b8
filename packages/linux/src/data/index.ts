// What lcores may use of this package.

export { getAffinity, setAffinity } from "../affinity.ts";
export { ERRNO, errnoName } from "../errors.ts";
export { readAt, signalEventfd, writeAt } from "./calls.ts";
