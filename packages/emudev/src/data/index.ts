export { fireVector, pollHeld, raiseVector } from "./vector.ts";
