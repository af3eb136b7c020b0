import { open } from 'node:fs/promises';

import { CHAIN_START, type ChainHead, hashText, MAX_AUDIT_LINE_BYTES, parseChainLine } from './audit-chain.ts';
import type { LogEntry } from './log-folder.ts';

/** How much of a file's end is looked at for its last whole line, in bytes. */
export const MAX_TAIL_BYTES = 16 * MAX_AUDIT_LINE_BYTES;

/** How an audit log ended. */
export interface AuditTail {
  readonly head: ChainHead;
  /** What follows the last whole line of the newest file, as a crash or a full disk leaves it. */
  readonly damage?: { readonly bytes: number; readonly sha256: string; readonly endsLine: boolean };
  /** The last line lacks nothing but its line feed. */
  readonly lacksLineFeed: boolean;
}

/** Finds where the chain of these files, the oldest first, is to be continued. */
export async function readAuditTail(files: readonly LogEntry[]): Promise<AuditTail> {
  let damage: AuditTail['damage'];
  for (const [index, file] of files.toReversed().entries()) {
    const found = await readFileTail(file);
    // What is broken in former files is for who verifies them.
    if (index === 0) damage = found.damage;
    if (found.head !== undefined) {
      return { head: found.head, lacksLineFeed: index === 0 && found.lacksLineFeed, ...(damage && { damage }) };
    }
  }
  return { head: CHAIN_START, lacksLineFeed: false, ...(damage && { damage }) };
}

interface FileTail {
  readonly head: ChainHead | undefined;
  readonly damage: AuditTail['damage'];
  readonly lacksLineFeed: boolean;
}

async function readFileTail({ path, bytes }: LogEntry): Promise<FileTail> {
  const length = Math.min(bytes, MAX_TAIL_BYTES);
  const data = Buffer.alloc(length);
  const file = await open(path, 'r');
  try {
    const { bytesRead } = await file.read(data, 0, length, bytes - length);
    return findTail(data.subarray(0, bytesRead));
  } finally {
    await file.close();
  }
}

function findTail(data: Buffer): FileTail {
  for (let end = data.length; end > 0;) {
    const endsLine = data[end - 1] === 0x0a;
    const stop = endsLine ? end - 1 : end;
    const start = stop === 0 ? 0 : data.lastIndexOf(0x0a, stop - 1) + 1;
    const line = parseChainLine(data.toString('utf8', start, stop));
    if (line !== undefined) {
      const rest = data.subarray(end);
      const damage = rest.length === 0 ? undefined : toDamage(rest);
      return {
        head: { count: line.number, hash: line.hash },
        damage,
        lacksLineFeed: !endsLine && damage === undefined,
      };
    }
    end = start;
  }
  return { head: undefined, damage: data.length === 0 ? undefined : toDamage(data), lacksLineFeed: false };
}

function toDamage(rest: Buffer): NonNullable<AuditTail['damage']> {
  const endsLine = rest.at(-1) === 0x0a;
  return { bytes: rest.length, sha256: hashText(endsLine ? rest : Buffer.concat([rest, Buffer.from('\n')])), endsLine };
}
