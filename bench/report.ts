/** What the figures hold for. */
export interface Circumstances {
  readonly date: string;
  readonly machine: string;
  readonly nodeVersion: string;
  readonly load: string;
  readonly rounds: string;
  /** What the machine did besides, when it began: the kernel's load average of a minute. */
  readonly othersLoad: number;
}

/** The middle one; of an even number the mean of the two in the middle. */
export function toMedian(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const [low = NaN, high = NaN] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]];
  return (low + high) / 2;
}

/** The smallest of the values that at least that share of them does not exceed. */
export function toQuantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? NaN;
}

/** A number of things, without a fraction. */
export const toCount = (value: number): string => Math.round(value).toLocaleString('en-US');

/** The smallest and the largest, as `toText` writes them. */
export const toSpread = (values: readonly number[], toText: (value: number) => string): string =>
  `${toText(Math.min(...values))} – ${toText(Math.max(...values))}`;

/** A line of a Markdown table. */
export const toRow = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

/** What the figures hold for, as a Markdown list. */
export function toFacts({ date, machine, nodeVersion, load, rounds, othersLoad }: Circumstances): string {
  const facts = [
    `Measured ${date} by \`npm run bench\`.`,
    `Machine: ${machine}. Node ${nodeVersion}.`,
    `Load: ${load}. ${rounds}`,
    `What else the machine did when it began: a load of ${othersLoad.toFixed(1)}.`,
  ];
  return facts.map((fact) => `- ${fact}`).join('\n');
}

/** The page with another text between the markers of that name. @throws when a marker is missing */
export function placeBlock(page: string, name: string, text: string): string {
  const markers = { begin: `<!-- ${name}: begin -->`, end: `<!-- ${name}: end -->` };
  const [begin, end] = [page.indexOf(markers.begin), page.indexOf(markers.end)];
  if (begin === -1 || end < begin) throw new Error(`the page has no ${markers.begin} … ${markers.end}`);
  return `${page.slice(0, begin + markers.begin.length)}\n${text}\n${page.slice(end)}`;
}
