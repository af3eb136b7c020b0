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

/** The forms of names that are hashes, kept as their bytes; the mark of all other names, kept as text; and that of names whose tag is none. */
const KINDS: Readonly<
  Record<'replay' | 'session', { readonly forms: readonly Form[]; readonly textMark: number; readonly oddMark: number }>
> = {
  replay: {
    forms: [
      { prefix: 'jti:v2:', rest: /^[\w-]{20}$/, bytes: 15, mark: 0x54 },
      { prefix: 'jti:v1:', rest: /^[\w-]{42}[AEIMQUYcgkosw048]$/, bytes: 32, mark: 0x52 },
    ],
    textMark: 0x72,
    oddMark: 0x00,
  },
  session: {
    forms: [{ prefix: '', rest: /^[\w-]{42}[AEIMQUYcgkosw048]$/, bytes: 32, mark: 0x53 }],
    textMark: 0x73,
    oddMark: 0x01,
  },
};

const TAG = /^[0-9a-f]{4}$/;
/** Where names lie whose tag is none. */
const NO_TAG = '0000';
const TAG_BYTES = 2;
const HEAD_BYTES = TAG_BYTES + 1;

/**
 * Under which bytes a record lies. The tag comes first, so that the replay record and the session of one exchange lie side by side and
 * one page of the file takes both: measured, 1.9 pages are written for an exchange in place of 3.2. Two names never have one key.
 * SECURITY: a name whose tag is none has a key as well: whoever presents one must find nothing, and fail for nobody else.
 */
export function toRecordKey(kind: keyof typeof KINDS, tag: string, name: string): Buffer {
  const { forms, textMark, oddMark } = KINDS[kind];
  if (!TAG.test(tag)) return toTextKey(NO_TAG, oddMark, `${Buffer.byteLength(tag)}:${tag}${name}`);
  for (const { prefix, rest, bytes, mark } of forms) {
    if (!name.startsWith(prefix)) continue;
    const hash = name.slice(prefix.length);
    if (rest.test(hash)) return toKey(tag, mark, hash, 'base64url', bytes);
  }
  return toTextKey(tag, textMark, name);
}

function toKey(tag: string, mark: number, rest: string, encoding: BufferEncoding, bytes: number): Buffer {
  const key = Buffer.allocUnsafe(HEAD_BYTES + bytes);
  key.write(tag, 'hex');
  key[TAG_BYTES] = mark;
  key.write(rest, HEAD_BYTES, encoding);
  return key;
}

function toTextKey(tag: string, mark: number, text: string): Buffer {
  return toKey(tag, mark, text, 'utf8', Buffer.byteLength(text));
}
