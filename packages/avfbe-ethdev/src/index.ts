export { drivers } from "./control/driver.ts";
export { AvfbeError, type AvfbeErrorCode } from "./control/errors.ts";
