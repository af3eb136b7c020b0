import * as crypto from 'node:crypto';

/** What stands for the line before the first one. */
export const FIRST_PREV = '0'.repeat(64);
/** The longest audit line, in bytes. */
export const MAX_AUDIT_LINE_BYTES = 65_536;

/** Where a chain has come to. */
export interface ChainHead {
  /** Lines so far: the number of the last one. */
  readonly count: number;
  /** The hash of the last one. */
  readonly hash: string;
}

export const CHAIN_START: ChainHead = { count: 0, hash: FIRST_PREV };

/** A line that is whole and whose own hash is right. */
export interface ChainLine {
  readonly number: number;
  readonly prev: string;
  readonly hash: string;
  readonly members: Readonly<Record<string, unknown>>;
}

const HEX = '[\\da-f]{64}';
const TAIL = new RegExp(`,"n":([1-9]\\d{0,15}),"prev":"(${HEX})"(,"hash":"(${HEX})"})$`);

/** An entry as it is linked into the chain: the text of a JSON object without its last brace. */
export function toOpenText(entry: Readonly<Record<string, unknown>>): string {
  return JSON.stringify(entry).slice(0, -1);
}

/**
 * Links an entry to the one before. The hash is the SHA-256 of the line without its `hash` member, so it covers `n`
 * and `prev` as well.
 */
export function linkEntry(openText: string, head: ChainHead): { readonly line: string; readonly head: ChainHead } {
  const count = head.count + 1;
  const covered = `${openText},"n":${count},"prev":"${head.hash}"`;
  const hash = hashText(`${covered}}`);
  return { line: `${covered},"hash":"${hash}"}`, head: { count, hash } };
}

/** @returns undefined for a line that was changed, is torn, or is none of an audit log */
export function parseChainLine(line: string): ChainLine | undefined {
  const match = TAIL.exec(line);
  if (match === null) return undefined;
  const [, number = '', prev = '', closing = '', hash = ''] = match;
  if (hashText(`${line.slice(0, line.length - closing.length)}}`) !== hash) return undefined;
  try {
    return { number: Number(number), prev, hash, members: JSON.parse(line) as Record<string, unknown> };
  } catch {
    return undefined;
  }
}

/** SHA-256, in lower-case hexadecimal. */
export function hashText(data: string | Buffer): string {
  return hash(data);
}

/** Node has a faster way since 20.12 and 21.7. */
const hash: (data: string | Buffer) => string =
  typeof crypto.hash === 'function'
    ? (data) => crypto.hash('sha256', data, 'hex')
    : (data) => crypto.createHash('sha256').update(data).digest('hex');
