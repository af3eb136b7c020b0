/** What was measured of one contestant: requests a second, one figure a round. */
export interface Measured {
  readonly name: string;
  readonly rates: readonly number[];
}

/** What the figures hold for. */
export interface Circumstances {
  readonly date: string;
  readonly machine: string;
  readonly nodeVersion: string;
  readonly load: string;
  readonly rounds: string;
}

const MARKERS = { begin: '<!-- bench: begin -->', end: '<!-- bench: end -->' } as const;

/** The middle one; of an even number the mean of the two in the middle. */
export function toMedian(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const [low = NaN, high = NaN] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]];
  return (low + high) / 2;
}

const toCount = (rate: number): string => Math.round(rate).toLocaleString('en-US');

/** The table as Markdown: medians, what lay between the slowest and the fastest round, and the ratio to the first line. */
export function toTable(measured: readonly Measured[]): string {
  const base = toMedian(measured[0]?.rates ?? []);
  const rows = measured.map(({ name, rates }) => {
    const median = toMedian(rates);
    const spread = `${toCount(Math.min(...rates))} – ${toCount(Math.max(...rates))}`;
    return `| ${name} | ${toCount(median)} | ${spread} | ${(median / base).toFixed(2)} |`;
  });
  return ['| | requests/s, median | slowest – fastest round | ratio to node:http |', '|---|--:|--:|--:|', ...rows].join('\n');
}

/** The page with the figures between its markers. @throws when a marker is missing */
export function placeFigures(page: string, table: string, { date, machine, nodeVersion, load, rounds }: Circumstances): string {
  const [begin, end] = [page.indexOf(MARKERS.begin), page.indexOf(MARKERS.end)];
  if (begin === -1 || end < begin) throw new Error(`the page has no ${MARKERS.begin} … ${MARKERS.end}`);
  const facts = [`Measured ${date} by \`npm run bench\`.`, `Machine: ${machine}. Node ${nodeVersion}.`, `Load: ${load}. ${rounds}`];
  const figures = `\n${table}\n\n${facts.map((fact) => `- ${fact}`).join('\n')}\n`;
  return page.slice(0, begin + MARKERS.begin.length) + figures + page.slice(end);
}
