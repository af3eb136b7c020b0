import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { z } from 'zod';
import { ERRORS } from '../src/core/errors.ts';
import { VARIABLES } from '../src/config/variables.ts';

/**
 * Writes the tables of docs/ that come from the code: settings, limits, errors. With `--check` it changes nothing and
 * fails when one of them is not what the code says.
 */

const ROOT = process.cwd();

interface Page {
  readonly path: string;
  readonly table: string;
}

const toRow = (...cells: readonly string[]): string =>
  `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;

function toTable(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  return [toRow(...heads), toRow(...heads.map(() => '---')), ...rows.map((row) => toRow(...row))].join('\n');
}

function toDefault(schema: z.ZodType): string {
  const definition = schema.def as { type: string; defaultValue?: unknown };
  if (definition.type !== 'default') return '';
  const { defaultValue } = definition;
  return Array.isArray(defaultValue)
    ? defaultValue.map((value) => `\`${value}\``).join(', ')
    : `\`${String(defaultValue)}\``;
}

function toSettingsTable(): string {
  const rows = Object.entries(VARIABLES).map(([name, schema]) => [
    `\`${name}\``,
    toDefault(schema),
    schema.description ?? '',
  ]);
  return toTable(['variable', 'default', 'what it is for'], rows);
}

function listSources(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => join(folder, path))
    .toSorted();
}

/** Numbers with a name and a sentence: `/** … *\/ const NAME = 1_000;` */
const LIMIT = /\/\*\*((?:(?!\*\/)[\s\S])*?)\*\/\n(?:export )?const ([A-Z][A-Z0-9_]+) = ([\d_.e]+);/g;

/** Numbers with a sentence that limit nothing: sizes of a format, versions, steps of a calculation. */
const NO_LIMITS: readonly string[] = [
  'BACKDATED_SECONDS',
  'FIELD_OVERHEAD',
  'FLAG_END',
  'FRAME_HEADER_BYTES',
  'HEAD_OVERHEAD',
  'HOPELESS',
  'INCARNATION_BYTES',
  'LEAST_ROUND_TRIP_MS',
  'MASTER_KEY_BYTES',
  'MILLISECONDS_FROM',
  'NAME_BYTES',
  'NONCE_BYTES',
  'PACKED_AT',
  'PING_BYTES',
  'SHARED_NUMBERS',
  'SHORT',
  'SHORT_ID_LENGTH',
  'SID_BYTES',
  'SOON_BACK',
  'TOKEN_BYTES',
  'VERSION',
  'VERSION_OF_IDENTITIES',
  'VERSION_OF_RECORDS',
];

function toLimitsTable(): string {
  const rows = listLimits();
  const gone = NO_LIMITS.filter((name) => !rows.some(([cell]) => cell === `\`${name}\``));
  if (gone.length > 0) throw new Error(`no constants of the code: ${gone.join(', ')}`);
  const limits = rows.filter(([cell = '']) => !NO_LIMITS.includes(cell.slice(1, -1)));
  return toTable(['limit', 'value', 'what it limits', 'where'], limits);
}

function listLimits(): string[][] {
  return listSources(join(ROOT, 'src')).flatMap((path) => {
    const room = relative(join(ROOT, 'src'), path);
    return [...readFileSync(path, 'utf8').matchAll(LIMIT)].map(([, text = '', name = '', value = '']) => [
      `\`${name}\``,
      Number(value.replaceAll('_', '')).toLocaleString('en').replaceAll(',', ' '),
      text
        .replaceAll(/\s*\n?\s*\*?\s+/g, ' ')
        .replaceAll(/\{@link ([\w.]+)\}/g, '`$1`')
        .trim(),
      `\`src/${room}\``,
    ]);
  });
}

function toErrorsTable(): string {
  const rows = Object.entries(ERRORS).map(([code, row]) => {
    const { status, msg, oauth, oauthStatus } = row as {
      status: number;
      msg: string;
      oauth: string;
      oauthStatus?: number;
    };
    return [`\`${code}\``, String(status), msg.replaceAll('<', '&lt;'), `${oauthStatus ?? status} \`${oauth}\``];
  });
  return toTable(['name in the log', 'status', 'sentence', 'on `/oauth/*`'], rows);
}

const BEGIN = '<!-- made by npm run reference -->';
const END = '<!-- end -->';

function replaceTable(text: string, table: string, path: string): string {
  const [head, tail] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (head === -1 || tail < head) throw new Error(`${path} has no ${BEGIN} … ${END}`);
  return `${text.slice(0, head + BEGIN.length)}\n\n${table}\n\n${text.slice(tail)}`;
}

const PAGES: readonly Page[] = [
  { path: 'docs/configuration.md', table: toSettingsTable() },
  { path: 'docs/limits.md', table: toLimitsTable() },
  { path: 'docs/errors.md', table: toErrorsTable() },
];

const isCheck = process.argv.includes('--check');
for (const { path, table } of PAGES) {
  const text = readFileSync(path, 'utf8');
  const made = replaceTable(text, table, path);
  if (made === text) continue;
  if (isCheck) {
    process.stderr.write(`${path} is not what the code says; run: npm run reference\n`);
    process.exitCode = 1;
  } else {
    writeFileSync(path, made);
    process.stdout.write(`${path} written\n`);
  }
}
