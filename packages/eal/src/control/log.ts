// Logs as DPDK writes them: `NAME: text` lines on standard error, a level to each line, and a level to each log type
// (`lib.vfio-user`, `pmd.net.avfbe`) that `--log-level` sets by name or pattern. Main thread only: lcores never log, they
// count. Called by everything above; packages that import nothing of ours take a Logger as an argument.
import { EalError } from "../errors.ts";

/** DPDK's levels by name; a line is written when its level is not above its type's level. */
export const LOG_LEVELS = {
  emergency: 1,
  alert: 2,
  critical: 3,
  error: 4,
  warning: 5,
  notice: 6,
  info: 7,
  debug: 8,
} as const;
export type LogLevel = keyof typeof LOG_LEVELS;

/** One log type. */
export interface Logger {
  /** The type's name, for instance `lib.eal`. */
  readonly name: string;
  /** Highest level that is written, 0 (nothing) to 8 (debug). */
  readonly level: number;
  /**
   * The logger of another log type; the name is absolute, and two calls with one name share the type.
   * @param label what lines begin with; by default the name's last part in capitals
   */
  child(name: string, label?: string): Logger;
  emergency(msg: string): void;
  alert(msg: string): void;
  critical(msg: string): void;
  error(msg: string): void;
  warning(msg: string): void;
  notice(msg: string): void;
  info(msg: string): void;
  debug(msg: string): void;
}

/** A rule of `--log-level`: all types that the pattern matches (`*` stands for anything) get the level. */
export interface LogRule {
  pattern: string;
  level: number;
}

/** Parses a `--log-level` value: `debug`, `8`, `lib.eal:info`, `pmd.net.*,debug`. */
export function parseLogRule(text: string): LogRule {
  const match = /^(?:(.*)[:,])?([^:,]+)$/.exec(text.trim());
  const level = match === null ? undefined : parseLevel(match[2]!);
  if (level === undefined) {
    const names = Object.keys(LOG_LEVELS).join(", ");
    throw new EalError("ARG", `log level '${text}': expected a level or pattern:level; levels are 1 to 8 or ${names}`);
  }
  return { pattern: match?.[1] ?? "*", level };
}

function parseLevel(text: string): number | undefined {
  if (/^\d$/.test(text)) return Number(text) <= 8 ? Number(text) : undefined;
  const wanted = text.toLowerCase();
  const name = Object.keys(LOG_LEVELS).find((level) => wanted.length >= 4 && level.startsWith(wanted));
  return name === undefined ? undefined : LOG_LEVELS[name as LogLevel];
}

/** The log types of a process. */
export class Logs {
  readonly #types = new Map<string, LogType>();
  readonly #rules: LogRule[] = [];
  readonly #write: (line: string) => void;

  constructor(
    rules: readonly LogRule[] = [],
    write: (line: string) => void = (line) => void process.stderr.write(line),
  ) {
    this.#rules.push(...rules);
    this.#write = write;
  }

  /** The logger of a type, made at its first use. */
  type(name: string, label?: string): Logger {
    let type = this.#types.get(name);
    if (type === undefined) {
      type = new LogType(this, name, label ?? labelOf(name), this.#write);
      type.level = this.#levelOf(name);
      this.#types.set(name, type);
    }
    return type;
  }

  /** Adds a rule and applies it to every type, present and future. */
  set(rule: LogRule): void {
    this.#rules.push(rule);
    for (const type of this.#types.values()) type.level = this.#levelOf(type.name);
  }

  /** All types with their levels, sorted by name. */
  list(): { name: string; level: number }[] {
    return [...this.#types.values()]
      .map(({ name, level }) => ({ name, level }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  #levelOf(name: string): number {
    let level: number = LOG_LEVELS.info;
    for (const rule of this.#rules) if (matches(rule.pattern, name)) level = rule.level;
    return level;
  }
}

class LogType implements Logger {
  readonly name: string;
  level: number = LOG_LEVELS.info;
  readonly #logs: Logs;
  readonly #label: string;
  readonly #write: (line: string) => void;

  constructor(logs: Logs, name: string, label: string, write: (line: string) => void) {
    this.#logs = logs;
    this.name = name;
    this.#label = label;
    this.#write = write;
  }

  child(name: string, label?: string): Logger {
    return this.#logs.type(name, label);
  }

  emergency = (msg: string): void => this.#line(LOG_LEVELS.emergency, msg);
  alert = (msg: string): void => this.#line(LOG_LEVELS.alert, msg);
  critical = (msg: string): void => this.#line(LOG_LEVELS.critical, msg);
  error = (msg: string): void => this.#line(LOG_LEVELS.error, msg);
  warning = (msg: string): void => this.#line(LOG_LEVELS.warning, msg);
  notice = (msg: string): void => this.#line(LOG_LEVELS.notice, msg);
  info = (msg: string): void => this.#line(LOG_LEVELS.info, msg);
  debug = (msg: string): void => this.#line(LOG_LEVELS.debug, msg);

  #line(level: number, msg: string): void {
    if (level <= this.level) this.#write(`${this.#label}: ${msg}\n`);
  }
}

/** `lib.vfio-user` writes as `VFIO_USER`, `pmd.net.avfbe` as `AVFBE`. */
function labelOf(name: string): string {
  return name
    .slice(name.lastIndexOf(".") + 1)
    .replace(/-/g, "_")
    .toUpperCase();
}

function matches(pattern: string, name: string): boolean {
  const source = pattern.replace(/[.+?^${}()|[\]\\]/g, "\\$&").replace(/\*/g, ".*");
  return new RegExp(`^${source}$`).test(name);
}
