// A device that can be migrated, for tests: its state is a string of bytes, its writes to memory are marked by hand, and
// any callback can be made to fail or to take its time.

import { type DeviceState, DirtyPages, MIGRATION_FLAG } from "../src/index.ts";
import { TestDevice } from "./support.ts";

export class MigratableDevice extends TestDevice {
  /** States entered, in order. */
  path: DeviceState[] = [];
  saved = new Uint8Array(0);
  loaded: number[] = [];
  /** Thrown by every migration callback. */
  fault: unknown = null;
  pages = new DirtyPages();
  dirtyLog = this.pages;
  migration = {
    flags: MIGRATION_FLAG.STOP_COPY | MIGRATION_FLAG.PRE_COPY,
    setState: async (state: DeviceState): Promise<void> => {
      await (this.hold as Record<string, (() => void | Promise<void>) | undefined>).setState?.();
      if (this.fault !== null) throw this.fault;
      this.path.push(state);
    },
    save: (max: number): Uint8Array => {
      if (this.fault !== null) throw this.fault;
      const piece = this.saved.slice(0, max);
      this.saved = this.saved.slice(max);
      return piece;
    },
    load: (data: Uint8Array): void => {
      if (this.fault !== null) throw this.fault;
      this.loaded.push(...data);
    },
  };
}
