import { checkPackagePath, type PackageEntry } from './package-entry.ts';

const BLOCK_BYTES = 512;
/** Tar is read in records of so many blocks. */
const RECORD_BYTES = 20 * BLOCK_BYTES;
/** 2026-01-01T00:00:00Z for every entry, in seconds: the same content gives the same bytes. */
const PACKED_AT = 1_767_225_600;

/** Where each field of a ustar header begins, and how long it is, in bytes (POSIX.1-2017, pax). */
const FIELDS = {
  name: [0, 100],
  mode: [100, 8],
  uid: [108, 8],
  gid: [116, 8],
  size: [124, 12],
  mtime: [136, 12],
  checksum: [148, 8],
  type: [156, 1],
  magic: [257, 8],
} as const;

function toOctal(value: number, [, length]: readonly [number, number]): string {
  return `${value.toString(8).padStart(length - 1, '0')}\0`;
}

function toHeader({ path, mode, body }: PackageEntry): Buffer {
  checkPackagePath(path);
  const header = Buffer.alloc(BLOCK_BYTES);
  const set = (field: keyof typeof FIELDS, text: string): void => void header.write(text, FIELDS[field][0], 'latin1');
  set('name', path);
  set('mode', toOctal(mode, FIELDS.mode));
  set('uid', toOctal(0, FIELDS.uid));
  set('gid', toOctal(0, FIELDS.gid));
  set('size', toOctal(body.length, FIELDS.size));
  set('mtime', toOctal(PACKED_AT, FIELDS.mtime));
  set('type', path.endsWith('/') ? '5' : '0');
  set('magic', 'ustar\u000000');
  // The sum is taken with blanks in its own place.
  set('checksum', ' '.repeat(FIELDS.checksum[1]));
  const sum = header.reduce((total, byte) => total + byte, 0);
  set('checksum', `${sum.toString(8).padStart(6, '0')}\0 `);
  return header;
}

function toPadding(length: number, unit: number): Buffer {
  return Buffer.alloc((unit - (length % unit)) % unit);
}

/** Makes a ustar archive. The same entries give the same bytes. */
export function toTar(entries: readonly PackageEntry[]): Buffer {
  const parts = entries.flatMap((entry) => [toHeader(entry), entry.body, toPadding(entry.body.length, BLOCK_BYTES)]);
  const content = Buffer.concat([...parts, Buffer.alloc(2 * BLOCK_BYTES)]);
  return Buffer.concat([content, toPadding(content.length, RECORD_BYTES)]);
}
