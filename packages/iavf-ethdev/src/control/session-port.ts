// What a session (session.ts) is told when it is made, and whom it tells: the port (port.ts).
import type { How } from "./comeback.ts";
import type { Restorer } from "./resume.ts";

/** The port, as its session sees it. */
export interface SessionPort extends Restorer {
  /** `link` has changed. */
  onLink(): void;
  /** Bursts must end: the device has reset itself or does not answer ("failed"), or its server is gone ("gone"). */
  onDown(state: "failed" | "gone", why: string): void;
  /** Bursts must end, and nothing may refer to the connection's doorbells any more: it is gone, and looked for again. null: lost once more. */
  onAway(why: string | null): void;
  /** The device is back as the state says. */
  onBack(how: How): void;
  /** It came back and could not be configured; the state is "failed". */
  onRecoveryFailed(why: string): void;
}

export interface SessionOptions {
  /** vfio-user socket of the device. */
  path: string;
  /** Whether a connection that closes is looked for again. */
  reconnect: boolean;
}
