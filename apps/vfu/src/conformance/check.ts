// What a conformance check is, and how one ends. The checks themselves are in checks/, one file a family of commands.
import type { Facts, Probe } from "./probe.ts";

/**
 * `must`: the specification's text; failing it fails the run. `reference`: what libvfio-user does beyond the text; another
 * behaviour is reported as a difference, and fails only with --strict.
 */
export type Severity = "must" | "reference";

export interface Check {
  /** "family: what is so", unique. */
  name: string;
  severity: Severity;
  /** Section of the specification, and libvfio-user's test of the same thing where there is one. */
  reference: string;
  /** Changes the device: runs only with --destructive. */
  destructive?: boolean;
  /** Why this cannot be asked of this server, or null. */
  skip?(facts: Facts): string | null;
  /** Returns when all is well. @throws Mismatch, Skip */
  run(probe: Probe): Promise<void>;
}

export type Outcome = "pass" | "fail" | "differs" | "skip";

export interface Result {
  name: string;
  severity: Severity;
  reference: string;
  outcome: Outcome;
  /** Of a skip. */
  reason: string | null;
  /** The last message that was sent, in words and bytes; "" when none was. */
  sent: string;
  expected: string;
  got: string;
  ms: number;
}

/** Something else came than was expected. `errnoOnly`: refused as it should be, with another errno than libvfio-user's. */
export class Mismatch extends Error {
  readonly expected: string;
  readonly got: string;
  readonly errnoOnly: boolean;

  constructor(expected: string, got: string, errnoOnly = false) {
    super(`expected ${expected}, got ${got}`);
    this.expected = expected;
    this.got = got;
    this.errnoOnly = errnoOnly;
  }
}

/** Seen while running: it cannot be asked of this server. */
export class Skip extends Error {}

/** What cannot be asked through a socket alone: reported as skipped, so that nobody takes silence for success. */
export function needsServer(name: string, reference: string, reason: string): Check {
  return { name, severity: "reference", reference, skip: () => reason, run: async () => {} };
}
