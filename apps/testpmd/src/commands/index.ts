// The table of all console commands, by family, and the parser over it. Used by the console.
import { CONTROL, helpCommand } from "./control.ts";
import { FAULT } from "./fault.ts";
import { Parser, type Section } from "./parser.ts";
import { PORT } from "./port.ts";
import { SET } from "./set.ts";
import { SHOW } from "./show.ts";

export const SECTIONS: readonly Section[] = [
  { ...CONTROL, commands: [helpCommand(() => SECTIONS), ...CONTROL.commands] },
  SHOW,
  SET,
  PORT,
  FAULT,
];

export const PARSER = new Parser(SECTIONS);
