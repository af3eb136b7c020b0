import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';

import { CHAIN_START, type ChainHead, type ChainLine, parseChainLine } from './audit-chain.ts';

/** A line of the log that is longer than this is none, in bytes. */
const MAX_VERIFIED_LINE_BYTES = 1_048_576;

export interface VerifyOptions {
  /** Hashes that the chain must hold, as they were noted elsewhere. */
  readonly expected?: readonly string[];
  /** The hash that its last line must have: only so is it seen that lines at the end were removed. */
  readonly expectedLast?: string;
}

/** What a verification found. */
export interface Verification {
  /** The first break: `file:line: what is wrong`. */
  readonly broken?: string;
  readonly lines: number;
  readonly files: number;
  readonly first?: { readonly number: number; readonly at: string };
  readonly last?: { readonly number: number; readonly at: string; readonly hash: string };
  /** What is no break and should be known. */
  readonly notes: readonly string[];
}

class ChainBreak extends Error {
  /** `file:line`, where it is not the line at hand. */
  readonly place: string | undefined;

  constructor(message: string, place?: string) {
    super(message);
    this.place = place;
  }
}

interface RawLine {
  readonly data: Buffer;
  readonly endsLine: boolean;
  /** `file:line`. */
  readonly where: string;
}

/** Verifies the chain over these files, in the order in which they were written. */
export async function verifyAudit(paths: readonly string[], options: VerifyOptions = {}): Promise<Verification> {
  const notes: string[] = [];
  const missing = new Set(options.expected);
  let head: ChainHead | undefined;
  let first: Verification['first'];
  let last: Verification['last'];
  let lines = 0;
  let tellsOfRemoval = false;
  let where: string | undefined;
  /** Lines that are not whole, until a line says that the agent found them so. */
  let damage: { readonly where: string; readonly hash: ReturnType<typeof createHash>; bytes: number } | undefined;
  let torn: string | undefined;

  const onLine = (line: ChainLine): void => {
    const at = typeof line.members['at'] === 'string' ? line.members['at'] : '?';
    if (damage) {
      const { sha256, kind } = line.members;
      const isRecovered = kind === 'recovered' && sha256 === damage.hash.digest('hex');
      if (!isRecovered) throw new ChainBreak('the line was changed, or is not whole', damage.where);
      notes.push(`${damage.where}: ${damage.bytes} bytes are not whole, as the agent noted when it started again`);
      damage = undefined;
    }
    if (head !== undefined || line.number === 1) checkLink(line, head ?? CHAIN_START);
    tellsOfRemoval ||= line.members['kind'] === 'expired';
    head = { count: line.number, hash: line.hash };
    first ??= { number: line.number, at };
    last = { number: line.number, at, hash: line.hash };
    missing.delete(line.hash);
    lines++;
  };

  const onRaw = ({ data, endsLine, where: place }: RawLine): void => {
    where = place;
    const line = parseChainLine(data.toString('utf8'));
    if (line !== undefined) return onLine(line);
    if (!endsLine) {
      torn = place;
      return;
    }
    damage ??= { where: place, hash: createHash('sha256'), bytes: 0 };
    damage.hash.update(data).update('\n');
    damage.bytes += data.length + 1;
  };

  const finish = (): void => {
    if (damage) throw new ChainBreak('the line was changed, or is not whole', damage.where);
    if (torn !== undefined) notes.push(`${torn}: the last line is not whole: a crash, or it is being written now`);
    if (first && first.number > 1) {
      notes.push(`the chain begins at line ${first.number}; ${tellsOfRemoval ? 'the agent noted that it removed old files' : 'no line tells that the agent removed old files'}`); // prettier-ignore
    }
    const [lost] = missing;
    if (lost !== undefined) throw new ChainBreak(`no line has the hash ${lost}: lines were removed or changed`);
    if (options.expectedLast !== undefined && options.expectedLast !== last?.hash) {
      throw new ChainBreak(`the last line has not the hash ${options.expectedLast}: lines were removed at the end`);
    }
  };

  try {
    for await (const batch of readLines(paths)) for (const raw of batch) onRaw(raw);
    where = undefined;
    finish();
  } catch (error) {
    if (!(error instanceof ChainBreak)) throw error;
    const broken = error.place ?? where;
    const sentence = broken === undefined ? error.message : `${broken}: ${error.message}`;
    return { broken: sentence, lines, files: paths.length, ...(first && { first }), ...(last && { last }), notes };
  }
  return { lines, files: paths.length, ...(first && { first }), ...(last && { last }), notes };
}

function checkLink({ number, prev }: ChainLine, head: ChainHead): void {
  const due = head.count + 1;
  if (number > due) {
    const range = number - due === 1 ? `line ${due} is` : `lines ${due} to ${number - 1} are`;
    throw new ChainBreak(`${range} missing before line ${number} of the chain`);
  }
  if (number < due) throw new ChainBreak(`line ${number} of the chain stands where line ${due} belongs: inserted, repeated or moved`); // prettier-ignore
  if (prev !== head.hash) throw new ChainBreak('the line does not follow the one before it: one of them was replaced');
}

/**
 * The lines of these files without their line feeds, as many at a time as were read at once. A line that one file ends
 * in goes on in the next: so does the agent after a crash.
 */
async function* readLines(paths: readonly string[]): AsyncGenerator<readonly RawLine[]> {
  let rest: Buffer = Buffer.alloc(0);
  let where = '';
  for (const path of paths) {
    let number = 1;
    if (rest.length === 0) where = `${path}:1`;
    for await (const chunk of createReadStream(path, { highWaterMark: 262_144 }) as AsyncIterable<Buffer>) {
      const data: Buffer = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      const lines: RawLine[] = [];
      let start = 0;
      for (let end = data.indexOf(0x0a); end !== -1; end = data.indexOf(0x0a, start)) {
        lines.push({ data: data.subarray(start, end), endsLine: true, where });
        start = end + 1;
        where = `${path}:${++number}`;
      }
      rest = data.subarray(start);
      if (rest.length > MAX_VERIFIED_LINE_BYTES) throw new Error(`${where}: a line that no agent wrote`);
      yield lines;
    }
  }
  if (rest.length > 0) yield [{ data: rest, endsLine: false, where }];
}
