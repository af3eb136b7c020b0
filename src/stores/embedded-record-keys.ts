/** How names of one form are kept. */
interface Form {
  /** What a name of the form begins with. */
  readonly prefix: string;
  /** The rest of it: bytes in base64url, in the one spelling that they have. */
  readonly rest: RegExp;
  readonly bytes: number;
  /** One byte of the key, different for each form. */
  readonly mark: number;
}

/** The forms of names that are hashes, kept as their bytes; and the mark of all other names, kept as text. */
const KINDS: Readonly<Record<'replay' | 'session', { readonly forms: readonly Form[]; readonly textMark: number }>> = {
  replay: {
    forms: [
      { prefix: 'jti:v2:', rest: /^[\w-]{20}$/, bytes: 15, mark: 0x54 },
      { prefix: 'jti:v1:', rest: /^[\w-]{42}[AEIMQUYcgkosw048]$/, bytes: 32, mark: 0x52 },
    ],
    textMark: 0x72,
  },
  session: {
    forms: [{ prefix: '', rest: /^[\w-]{42}[AEIMQUYcgkosw048]$/, bytes: 32, mark: 0x53 }],
    textMark: 0x73,
  },
};

const TAG = /^[0-9a-f]{4}$/;
const TAG_BYTES = 2;
const HEAD_BYTES = TAG_BYTES + 1;

/**
 * Under which bytes a record lies. The tag comes first, so that the replay record and the session of one exchange lie side by side and
 * one page of the file takes both: measured, 1.9 pages are written for an exchange in place of 3.2. Two names never have one key.
 * @throws TypeError for a tag that is none
 */
export function toRecordKey(kind: keyof typeof KINDS, tag: string, name: string): Buffer {
  if (!TAG.test(tag)) throw new TypeError(`not a tag: ${tag}`);
  const { forms, textMark } = KINDS[kind];
  for (const { prefix, rest, bytes, mark } of forms) {
    if (!name.startsWith(prefix)) continue;
    const hash = name.slice(prefix.length);
    if (rest.test(hash)) return toKey(tag, mark, hash, 'base64url', bytes);
  }
  return toKey(tag, textMark, name, 'utf8', Buffer.byteLength(name));
}

function toKey(tag: string, mark: number, rest: string, encoding: BufferEncoding, bytes: number): Buffer {
  const key = Buffer.allocUnsafe(HEAD_BYTES + bytes);
  key.write(tag, 'hex');
  key[TAG_BYTES] = mark;
  key.write(rest, HEAD_BYTES, encoding);
  return key;
}
