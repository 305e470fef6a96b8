export { pollHeld, raiseVector } from "./vector.ts";
