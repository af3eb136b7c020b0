/** What is shown of a value that somebody else wrote, in characters. */
export const MAX_QUOTED_LENGTH = 160;

/** What JSON leaves as it is and a terminal or a reader may take for something else: C1 controls, marks of direction, line ends. */
const UNSHOWN = /[\p{Control}\p{Format}\p{Surrogate}\u2028\u2029]/gu;

const toEscape = (char: string): string =>
  [...Array(char.length).keys()].map((at) => `\\u${char.charCodeAt(at).toString(16).padStart(4, '0')}`).join('');

/** A value of a token as a log line or a terminal may show it: one line of JSON, cut, without anything that is not seen. */
export function quote(value: unknown): string {
  const text = typeof value === 'string' ? JSON.stringify(value.slice(0, MAX_QUOTED_LENGTH + 1)) : toJson(value);
  const shown = text.replace(UNSHOWN, toEscape);
  return shown.length > MAX_QUOTED_LENGTH ? `${shown.slice(0, MAX_QUOTED_LENGTH)}…` : shown;
}

function toJson(value: unknown): string {
  return value === undefined ? 'absent' : JSON.stringify(value);
}
