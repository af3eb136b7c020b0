import { stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';

import { compareNames, parseFileName } from '../connector/logs/log-day.ts';
import { listLogFiles } from '../connector/logs/log-folder.ts';
import { type Verification, verifyAudit } from '../connector/logs/audit-verify.ts';
import { UsageError } from './command.ts';

/** What files of the audit log begin with unless it is configured. */
const DEFAULT_PREFIX = 'kore-connector-audit.log';
const DATED = /\.\d{2}-\d{2}-\d{4}(?:\.\d+)?$/;

export interface AuditWords {
  /** A folder, or files. */
  readonly paths: readonly string[];
  readonly expected: readonly string[];
  readonly expectedLast: string | undefined;
}

/** The chain of an audit log is broken. */
export class AuditBrokenError extends Error {
  override readonly name = 'AuditBrokenError';
}

/**
 * `countersign connector audit verify`.
 * @returns lines for people
 * @throws AuditBrokenError with the first break
 */
export async function verifyAuditLog({ paths, expected, expectedLast }: AuditWords, prefix?: string): Promise<string> {
  for (const hash of [...expected, ...(expectedLast === undefined ? [] : [expectedLast])]) {
    if (!/^[\da-f]{64}$/.test(hash)) throw new UsageError('connector audit verify --expect <64 hexadecimal digits>');
  }
  const files = await findFiles(paths, prefix ?? DEFAULT_PREFIX);
  if (files.length === 0) throw new AuditBrokenError(`${paths.join(', ')}: no audit log is here`);
  const found = await verifyAudit(files, { expected, ...(expectedLast !== undefined && { expectedLast }) });
  const notes = found.notes.map((note) => `note: ${note}`);
  if (found.broken !== undefined) throw new AuditBrokenError([found.broken, ...notes].join('\n'));
  return [toSummary(found), ...notes].join('\n');
}

/** Files in the order in which they were written, however they were named. */
async function findFiles(paths: readonly string[], prefix: string): Promise<string[]> {
  const [first = '', ...rest] = paths;
  if (rest.length === 0 && (await stat(first)).isDirectory()) {
    return (await listLogFiles(first, prefix)).map(({ path }) => path);
  }
  const named = paths.map((path) => {
    const name = basename(path);
    const parsed = parseFileName(name.replace(DATED, ''), name);
    if (parsed === undefined) throw new UsageError(`connector audit verify: ${path} is no name of an audit log`);
    return { ...parsed, path, folder: dirname(path) };
  });
  return named.toSorted(compareNames).map(({ path }) => path);
}

function toSummary({ lines, files, first, last }: Verification): string {
  if (first === undefined || last === undefined) return `OK: no line, ${files} file${files === 1 ? '' : 's'}`;
  const counts = `${lines} line${lines === 1 ? '' : 's'}, ${files} file${files === 1 ? '' : 's'}`;
  return `OK: ${counts}, from ${first.at} to ${last.at}\nlast line: ${last.number}, hash ${last.hash}`;
}
