/** Minutes that local time is behind UTC at an instant, as `Date.getTimezoneOffset` counts them. */
export type ZoneOffset = (atSeconds: number) => number;

/** The zone of the server, as its operator reads clocks; daylight saving included. */
export const localZone: ZoneOffset = (atSeconds) => new Date(atSeconds * 1000).getTimezoneOffset();

/** The day of an instant in that zone, `2026-11-20`: days sort as text. */
export function toDay(atSeconds: number, zone: ZoneOffset): string {
  return new Date((atSeconds - zone(atSeconds) * 60) * 1000).toISOString().slice(0, 10);
}

/** One file of a log. */
export interface LogName {
  readonly day: string;
  /** 0 for the first file of a day. */
  readonly number: number;
}

/** `<prefix>.<dd-MM-yyyy>`, and `.1`, `.2` … behind it where a day has more than one. */
export function toFileName(prefix: string, { day, number }: LogName): string {
  const [year, month, date] = day.split('-');
  return `${prefix}.${date}-${month}-${year}${number === 0 ? '' : `.${number}`}`;
}

/** @returns undefined for a file of another log, or of none */
export function parseFileName(prefix: string, name: string): LogName | undefined {
  if (!name.startsWith(`${prefix}.`)) return undefined;
  const match = /^(\d{2})-(\d{2})-(\d{4})(?:\.([1-9]\d{0,5}))?$/.exec(name.slice(prefix.length + 1));
  if (match === null) return undefined;
  const [, date, month, year, number = '0'] = match;
  return { day: `${year}-${month}-${date}`, number: Number(number) };
}

/** The order in which files were written. */
export function compareNames(a: LogName, b: LogName): number {
  if (a.day !== b.day) return a.day < b.day ? -1 : 1;
  return a.number - b.number;
}
