// Checks of plain data that came from outside, put together from small ones: what a device state must look like before any of
// it is made use of. A check answers null, or what is wrong and where. Used by avf-state.ts.

/** What is wrong with `value`, which stands at `where`; null = nothing. */
export type Check = (value: unknown, where: string) => string | null;

export const int =
  (min: number, max: number): Check =>
  (value, where) =>
    Number.isInteger(value) && (value as number) >= min && (value as number) <= max
      ? null
      : `${where} is no number from ${min} to ${max}`;

export const u32 = int(0, 0xffffffff);

export const bool: Check = (value, where) => (typeof value === "boolean" ? null : `${where} is neither true nor false`);

/** Bytes as hexadecimal digits. */
export const hexBytes =
  (min: number, max: number): Check =>
  (value, where) =>
    typeof value === "string" && /^([0-9a-f]{2})*$/.test(value) && value.length >= 2 * min && value.length <= 2 * max
      ? null
      : `${where} is not ${min} to ${max} bytes in hexadecimal`;

/** A number of 64 bits as "0x...". */
export const u64Text: Check = (value, where) =>
  typeof value === "string" && /^0x[0-9a-f]{1,16}$/.test(value) ? null : `${where} is no number of 64 bits`;

export const oneOf =
  (...values: readonly (string | null)[]): Check =>
  (value, where) =>
    values.includes(value as string) ? null : `${where} is none of ${values.join(", ")}`;

export const nullOr =
  (check: Check): Check =>
  (value, where) =>
    value === null ? null : check(value, where);

export const list =
  (check: Check, min: number, max: number): Check =>
  (value, where) => {
    if (!Array.isArray(value) || value.length < min || value.length > max)
      return `${where} is no list of ${min} to ${max}`;
    return first(value, (item, i) => check(item, `${where}[${i}]`));
  };

/** Exactly these members. */
export const object =
  (members: Readonly<Record<string, Check>>): Check =>
  (value, where) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return `${where} is no object`;
    const names = Object.keys(members);
    const strange = Object.keys(value).find((name) => !Object.hasOwn(members, name));
    if (strange !== undefined) return `${where} has a member that is not known: ${JSON.stringify(strange)}`;
    return first(names, (name) => members[name]!((value as Record<string, unknown>)[name], `${where}.${name}`));
  };

function first<T>(items: readonly T[], check: (item: T, i: number) => string | null): string | null {
  for (const [i, item] of items.entries()) {
    const why = check(item, i);
    if (why !== null) return why;
  }
  return null;
}
