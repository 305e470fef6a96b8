export { announceReader } from "./readers.ts";
export { fireVector, pollHeld, raiseVector } from "./vector.ts";
