/** One round of one contestant. */
export interface Figures {
  /** Requests a second. */
  readonly rate: number;
  /** Processor time of the server for one request. */
  readonly cpuMicroseconds: number;
}

/** What was measured of one contestant. */
export interface Measured {
  readonly name: string;
  readonly rounds: readonly Figures[];
}

/** What the figures hold for. */
export interface Circumstances {
  readonly date: string;
  readonly machine: string;
  readonly nodeVersion: string;
  readonly load: string;
  readonly rounds: string;
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

const toCount = (rate: number): string => Math.round(rate).toLocaleString('en-US');

const HEAD = [
  '| | requests/s, median | slowest – fastest round | ratio to node:http | server CPU, µs/request | its ratio |',
  '|---|--:|--:|--:|--:|--:|',
];

const toRates = ({ rounds }: Measured): number[] => rounds.map(({ rate }) => rate);
const toCpu = ({ rounds }: Measured): number => toMedian(rounds.map(({ cpuMicroseconds }) => cpuMicroseconds));

/** The table as Markdown: medians, what lay between the slowest and the fastest round, and ratios to the first line. */
export function toTable(measured: readonly Measured[]): string {
  const [base] = measured;
  if (base === undefined) throw new TypeError('nothing was measured');
  const rows = measured.map((one) => {
    const rates = toRates(one);
    const spread = `${toCount(Math.min(...rates))} – ${toCount(Math.max(...rates))}`;
    const ratio = (toMedian(rates) / toMedian(toRates(base))).toFixed(2);
    const cpuRatio = (toCpu(base) / toCpu(one)).toFixed(2);
    return `| ${one.name} | ${toCount(toMedian(rates))} | ${spread} | ${ratio} | ${toCpu(one).toFixed(0)} | ${cpuRatio} |`;
  });
  return [...HEAD, ...rows].join('\n');
}

/** The page with the figures between its markers. @throws when a marker is missing */
export function placeFigures(
  page: string,
  table: string,
  { date, machine, nodeVersion, load, rounds }: Circumstances,
): string {
  const facts = [
    `Measured ${date} by \`npm run bench\`.`,
    `Machine: ${machine}. Node ${nodeVersion}.`,
    `Load: ${load}. ${rounds}`,
  ];
  return placeBlock(page, 'bench', `${table}\n\n${facts.map((fact) => `- ${fact}`).join('\n')}`);
}

/** The page with another text between the markers of that name. @throws when a marker is missing */
export function placeBlock(page: string, name: string, text: string): string {
  const markers = { begin: `<!-- ${name}: begin -->`, end: `<!-- ${name}: end -->` };
  const [begin, end] = [page.indexOf(markers.begin), page.indexOf(markers.end)];
  if (begin === -1 || end < begin) throw new Error(`the page has no ${markers.begin} … ${markers.end}`);
  return `${page.slice(0, begin + markers.begin.length)}\n${text}\n${page.slice(end)}`;
}
