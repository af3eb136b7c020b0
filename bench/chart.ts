import { type Group, GROUPS } from './contestant.ts';
import { type Measured, toRates, toRatio } from './measured.ts';

/** Sizes in pixels. */
const WIDTH = 880;
const MARGIN = 16;
const ROW = 22;
const BAR = 14;
const LABEL_WIDTH = 380;
const VALUE_WIDTH = 48;
const BAR_WIDTH = WIDTH - 2 * MARGIN - LABEL_WIDTH - VALUE_WIDTH;
/** The first row below the heading. */
const FIRST_ROW = MARGIN + 1.5 * ROW;
/** From the top of a row to the line that its text stands on. */
const BASELINE = 15;

/** One set of colours for light and one for dark pages; a background of its own, for pages that are neither. */
const STYLE = [
  'svg { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, Helvetica, Arial, sans-serif }',
  '.page { fill: #ffffff } text { fill: #1f2328 } .group { font-weight: 600 } .axis { stroke: #8c959f }',
  '.floor { fill: #6e7781 } .day { fill: #bc4c00 } .peer { fill: #8250df } .ours { fill: #0969da }',
  '@media (prefers-color-scheme: dark) {',
  '.page { fill: #0d1117 } text { fill: #e6edf3 } .axis { stroke: #6e7681 }',
  '.floor { fill: #8b949e } .day { fill: #f0883e } .peer { fill: #bc8cff } .ours { fill: #58a6ff }',
  '}',
].join('\n');

/** One bar. */
interface Bar {
  readonly name: string;
  readonly group: Group;
  readonly ratio: number;
}

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const escapeText = (text: string): string => text.replace(/[&<>"]/g, (sign) => ESCAPES[sign] ?? sign);

function toBars(measured: readonly Measured[]): Bar[] {
  const [base] = measured;
  if (base === undefined) throw new TypeError('nothing was measured');
  return measured.map((one) => ({ name: one.name, group: one.group, ratio: toRatio(toRates(one), toRates(base)) }));
}

function toBarLines({ name, group, ratio }: Bar, top: number, scale: number): string[] {
  const [left, length] = [MARGIN + LABEL_WIDTH, Math.max(1, ratio * scale)];
  return [
    `<text x="${left - 8}" y="${top + BASELINE}" text-anchor="end">${escapeText(name)}</text>`,
    `<rect class="${group}" x="${left}" y="${top + (ROW - BAR) / 2}" width="${length.toFixed(1)}" height="${BAR}"/>`,
    `<text x="${(left + length + 6).toFixed(1)}" y="${top + BASELINE}">${ratio.toFixed(2)}</text>`,
  ];
}

/** Requests a second as shares of node:http's, as horizontal bars: an SVG that draws the same for the same figures. */
export function toChart(measured: readonly Measured[]): string {
  const bars = toBars(measured);
  const scale = BAR_WIDTH / Math.max(...bars.map(({ ratio }) => ratio));
  const lines: string[] = [];
  let top = FIRST_ROW;
  for (const group of Object.keys(GROUPS) as Group[]) {
    const members = bars.filter((bar) => bar.group === group);
    if (members.length === 0) continue;
    lines.push(`<text class="group" x="${MARGIN}" y="${top + BASELINE}">${escapeText(GROUPS[group])}</text>`);
    top += ROW;
    for (const bar of members) {
      lines.push(...toBarLines(bar, top, scale));
      top += ROW;
    }
    top += ROW / 2;
  }
  const [axis, height] = [MARGIN + LABEL_WIDTH, top + MARGIN / 2];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-labelledby="title">`,
    '<title id="title">Requests a second on one core, as shares of what bare node:http answers</title>',
    `<style>\n${STYLE}\n</style>`,
    `<rect class="page" width="${WIDTH}" height="${height}"/>`,
    `<text class="group" x="${MARGIN}" y="${MARGIN + BASELINE}">Requests a second on one core; node:http = 1</text>`,
    `<line class="axis" x1="${axis}" y1="${FIRST_ROW}" x2="${axis}" y2="${top - ROW / 2}"/>`,
    ...lines,
    '</svg>',
    '',
  ].join('\n');
}
