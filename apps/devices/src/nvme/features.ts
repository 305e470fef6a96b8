// Features of the controller (NVM Express Base Specification 1.4, 5.21.1): small settings that SET FEATURES changes and GET
// FEATURES tells. Most are kept for the driver's sake alone; the write cache and the number of queues have an effect. None
// is saved, so a controller reset brings the defaults back.
import { demand, STATUS, StatusError } from "./status.ts";

export const FEATURE = {
  ARBITRATION: 0x01,
  POWER_MANAGEMENT: 0x02,
  TEMPERATURE_THRESHOLD: 0x04,
  ERROR_RECOVERY: 0x05,
  WRITE_CACHE: 0x06,
  QUEUES: 0x07,
  COALESCING: 0x08,
  VECTOR: 0x09,
  ATOMICITY: 0x0a,
  EVENTS: 0x0b,
} as const;

const DEFAULTS: readonly (readonly [feature: number, value: number])[] = [
  [FEATURE.ARBITRATION, 0],
  [FEATURE.POWER_MANAGEMENT, 0],
  [FEATURE.ERROR_RECOVERY, 0],
  [FEATURE.WRITE_CACHE, 1],
  [FEATURE.COALESCING, 0],
  [FEATURE.ATOMICITY, 0],
  [FEATURE.EVENTS, 0],
];

export class Features {
  /** I/O queue pairs that the driver may make. */
  queues: number;
  readonly #maxQueues: number;
  readonly #vectors: number;
  readonly #values = new Map(DEFAULTS);
  /** By which sensor and which limit (bits 21 to 16 of the request). */
  readonly #thresholds = new Map<number, number>();
  readonly #uncoalesced = new Set<number>();

  constructor(maxQueues: number, vectors: number) {
    this.queues = maxQueues;
    this.#maxQueues = maxQueues;
    this.#vectors = vectors;
  }

  /** Without a write cache every write is as safe as a flush makes it. */
  get writeCache(): boolean {
    return ((this.#values.get(FEATURE.WRITE_CACHE) as number) & 1) !== 0;
  }

  /** `request` is double word 11, which tells some features apart. @returns double word 0 of the completion */
  get(feature: number, request: number): number {
    const value = this.#values.get(feature);
    if (value !== undefined) return value;
    switch (feature) {
      case FEATURE.QUEUES:
        return (this.queues - 1) | ((this.queues - 1) << 16);
      case FEATURE.TEMPERATURE_THRESHOLD: {
        const key = (request >>> 16) & 0x3f;
        const below = ((key >>> 4) & 3) === 1;
        return this.#thresholds.get(key) ?? (below ? 0 : 0xffff);
      }
      case FEATURE.VECTOR:
        return this.#vector(request) | (this.#uncoalesced.has(this.#vector(request)) ? 1 << 16 : 0);
      default:
        throw new StatusError(STATUS.INVALID_FIELD, `feature 0x${feature.toString(16)} is not there`);
    }
  }

  /** @returns double word 0 of the completion */
  set(feature: number, request: number, hasQueues: boolean): number {
    switch (feature) {
      case FEATURE.QUEUES:
        return this.#setQueues(request, hasQueues);
      case FEATURE.TEMPERATURE_THRESHOLD:
        this.#thresholds.set((request >>> 16) & 0x3f, request & 0xffff);
        return 0;
      case FEATURE.VECTOR:
        if (request & (1 << 16)) this.#uncoalesced.add(this.#vector(request));
        else this.#uncoalesced.delete(this.#vector(request));
        return 0;
      case FEATURE.POWER_MANAGEMENT:
        demand((request & 0x1f) === 0, STATUS.INVALID_FIELD, "there is one power state");
        break;
    }
    demand(this.#values.has(feature), STATUS.INVALID_FIELD, `feature 0x${feature.toString(16)} is not there`);
    this.#values.set(feature, request);
    return 0;
  }

  #setQueues(request: number, hasQueues: boolean): number {
    demand(!hasQueues, STATUS.COMMAND_SEQUENCE, "the number of queues is settled before the first is made");
    const submissions = request & 0xffff;
    const completions = request >>> 16;
    demand(submissions < 0xffff && completions < 0xffff, STATUS.INVALID_FIELD, "65536 queues cannot be");
    this.queues = Math.min(this.#maxQueues, Math.max(submissions, completions) + 1);
    return this.get(FEATURE.QUEUES, 0);
  }

  #vector(request: number): number {
    const vector = request & 0xffff;
    demand(vector < this.#vectors, STATUS.INVALID_FIELD, `there is no vector ${vector}`);
    return vector;
  }
}
