import { promisify } from 'node:util';
import { constants, crc32, deflateRaw } from 'node:zlib';

import { checkPackagePath, type PackageEntry } from './package-entry.ts';

const compress = promisify(deflateRaw);

/** 2026-01-01 00:00:00 for every entry, as MS-DOS counts: the same content gives the same bytes. */
const PACKED_DATE = ((2026 - 1980) << 9) | (1 << 5) | 1;
const VERSION_NEEDED = 20;
/** Made on Unix, so that the upper half of the external attributes is the mode. */
const VERSION_MADE_BY = (3 << 8) | VERSION_NEEDED;
const METHOD = { stored: 0, deflated: 8 } as const;
const FILE_TYPE = { file: 0o100000, folder: 0o040000 } as const;
/** The MS-DOS attribute of a folder. */
const DOS_FOLDER = 0x10;

interface Member {
  readonly entry: PackageEntry;
  /** What both of its headers say: from the version that is needed to the length of the name. */
  readonly shared: Buffer;
  readonly packed: Buffer;
}

function toBytes(...values: readonly (readonly [value: number, bytes: 2 | 4])[]): Buffer {
  return Buffer.concat(
    values.map(([value, bytes]) => {
      const field = Buffer.alloc(bytes);
      field.writeUIntLE(value, 0, bytes);
      return field;
    }),
  );
}

async function toMember(entry: PackageEntry): Promise<Member> {
  checkPackagePath(entry.path);
  const isStored = entry.body.length === 0;
  const packed = isStored ? entry.body : await compress(entry.body, { level: constants.Z_BEST_COMPRESSION });
  const shared = toBytes(
    [VERSION_NEEDED, 2],
    [0, 2],
    [isStored ? METHOD.stored : METHOD.deflated, 2],
    [0, 2],
    [PACKED_DATE, 2],
    [crc32(entry.body), 4],
    [packed.length, 4],
    [entry.body.length, 4],
    [entry.path.length, 2],
    [0, 2],
  );
  return { entry, shared, packed };
}

function toLocal({ entry, shared, packed }: Member): Buffer {
  return Buffer.concat([toBytes([0x04034b50, 4]), shared, Buffer.from(entry.path), packed]);
}

function toCentral({ entry, shared }: Member, offset: number): Buffer {
  const isFolder = entry.path.endsWith('/');
  const unixMode = (isFolder ? FILE_TYPE.folder : FILE_TYPE.file) | entry.mode;
  const attributes = unixMode * 0x10000 + (isFolder ? DOS_FOLDER : 0);
  const rest = toBytes([0, 2], [0, 2], [0, 2], [attributes, 4], [offset, 4]);
  return Buffer.concat([toBytes([0x02014b50, 4], [VERSION_MADE_BY, 2]), shared, rest, Buffer.from(entry.path)]);
}

/** Makes a zip archive (APPNOTE 6.3.10, without zip64). The same entries give the same bytes. */
export async function toZip(entries: readonly PackageEntry[]): Promise<Buffer> {
  const members = await Promise.all(entries.map(toMember));
  const locals = members.map(toLocal);
  let offset = 0;
  const centrals = members.map((member, index) => {
    const central = toCentral(member, offset);
    offset += locals[index]?.length ?? 0;
    return central;
  });
  const centralBytes = centrals.reduce((total, { length }) => total + length, 0);
  const count = members.length;
  const end = toBytes([0x06054b50, 4], [0, 2], [0, 2], [count, 2], [count, 2], [centralBytes, 4], [offset, 4], [0, 2]);
  return Buffer.concat([...locals, ...centrals, end]);
}
