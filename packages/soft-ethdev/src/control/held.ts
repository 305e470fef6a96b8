// What a soft port holds (files, memory, places in a table), as a list of how to give it back. It is worked off when
// the port closes, and as well when its probe fails half-way, so nothing has two ways of being released.

/** How to give back what a port holds, in the order it was taken. */
export type Held = (() => void)[];

/** Gives everything back, the last taken first. */
export function release(held: Held): void {
  for (const step of held.splice(0).reverse()) step();
}
