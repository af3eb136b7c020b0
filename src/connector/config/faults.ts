/** What is wrong with a configuration file, in the order of the text. */
export interface Faults {
  /** At an index of the file's text, or about the whole file; `field` is empty where there is none to name. */
  add(file: string, at: number | undefined, field: string, sentence: string): void;
  /** How many there are so far. */
  readonly count: number;
  /** `file:line:column: "field": sentence`, file by file as they were first named. */
  toLines(toPlace: (file: string, at: number) => string): string[];
}

/** Faults that are listed, at most. */
export const MAX_FAULTS = 200;

interface Fault {
  readonly file: string;
  readonly at: number | undefined;
  readonly text: string;
}

export function createFaults(): Faults {
  const all: Fault[] = [];
  return {
    add: (file, at, field, sentence) => {
      all.push({ file, at, text: field === '' ? sentence : `${JSON.stringify(field)}: ${sentence}` });
    },
    get count() {
      return all.length;
    },
    toLines: (toPlace) => {
      const files = [...new Set(all.map(({ file }) => file))];
      const sorted = files.flatMap((file) =>
        all.filter((fault) => fault.file === file).sort((a, b) => (a.at ?? -1) - (b.at ?? -1)),
      );
      const lines = sorted
        .slice(0, MAX_FAULTS)
        .map(({ file, at, text }) => `${at === undefined ? file : toPlace(file, at)}: ${text}`);
      const left = sorted.length - lines.length;
      return left > 0 ? [...lines, `and ${left} more`] : lines;
    },
  };
}

/** The longest name that is looked at for a suggestion, in characters. */
const MAX_SUGGESTED_LENGTH = 40;

/** Which of `names` someone may have meant by `typed`; undefined where none is near. */
export function suggestName(typed: string, names: readonly string[]): string | undefined {
  const plain = typed.slice(0, MAX_SUGGESTED_LENGTH).toLowerCase().replaceAll(/[_-]/g, '');
  const near = names
    .map((name) => ({ name, distance: countEdits(plain, name.toLowerCase()) }))
    .filter(({ name, distance }) => distance <= Math.min(3, Math.floor(name.length / 3)))
    .sort((a, b) => a.distance - b.distance);
  return near[0]?.name;
}

/** Letters to insert, remove or replace until one text is the other (Levenshtein). */
function countEdits(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
