import { createHmac } from 'node:crypto';

import * as fc from 'fast-check';

/** A change of a token's text. */
export type Mutation = (token: string) => string;

/** What an attacker has who does not have the key. */
export interface Attacker {
  /** Public texts that a careless verifier could take for a secret: a public key, the client id, nothing. */
  readonly publicTexts: readonly string[];
  /** Other tokens, whose parts may be put together. */
  readonly tokens: readonly string[];
}

const toSegment = (text: string): string => Buffer.from(text).toString('base64url');
const fromSegment = (segment = ''): string => Buffer.from(segment, 'base64url').toString();
const splitAt = (token: string, at: number): [string, string] => [token.slice(0, at), token.slice(at)];
const place = (token: string, at: number): number => at % (token.length + 1);

/** Values that parsers trip over. */
export const oddValues = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    false,
    '',
    [],
    {},
    ' ',
    '0',
    'null',
    '__proto__',
    'constructor',
    '\u0000',
    '\ufeff',
    '😀',
  ),
  fc.constantFrom(0, -0, -1, 1, 0.5, 1e11, 1e11 - 1, 1e300, -1e300, 2 ** 31, 2 ** 53, 2 ** 53 + 2, 1e21, 5e-324),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom(256, 257, 1_024, 1_025, 9_000).map((length) => 'x'.repeat(length)),
  fc.jsonValue({ maxDepth: 3 }),
);

/** Members of a JOSE header that have misled verifiers. */
const HEADER_MEMBERS: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  alg: fc.constantFrom(
    'none',
    'None',
    'nOnE',
    '',
    'HS256',
    'hs256',
    'HS384',
    'HS512',
    'RS256',
    'PS256',
    'ES256',
    'RSA-OAEP',
    'RSA1_5',
    'dir',
  ),
  typ: fc.constantFrom(
    'JWT',
    'jwt',
    'JOSE',
    'at+jwt',
    'dpop+jwt',
    'oauth-id-jag+jwt',
    'application/jwt',
    'JWT ',
    '\u004aWT\u0000',
  ),
  cty: fc.constantFrom('JWT', 'application/json', ''),
  kid: fc.constantFrom('1', 'jwe-1', '../../dev/null', "' or 1=1--", '__proto__', '\u0000'),
  jwk: fc.constantFrom<unknown>({ kty: 'oct', k: 'AA' }, { kty: 'RSA', n: 'AQAB', e: 'AQAB' }, {}),
  jku: fc.constantFrom('http://127.0.0.1:1/jwks.json', 'file:///etc/passwd'),
  x5u: fc.constantFrom('http://127.0.0.1:1/cert.pem', 'data:,x'),
  x5c: fc.constantFrom<unknown>(['MIIB'], 'MIIB', []),
  crit: fc.constantFrom<unknown>([], ['b64'], ['exp'], 'b64', null, ['crit']),
  b64: fc.boolean(),
  zip: fc.constantFrom('DEF', '', 'GZ'),
  enc: fc.constantFrom('A128GCM', 'A256GCM', 'A128CBC-HS256', ''),
  epk: fc.constant({}),
  p2c: fc.constantFrom(1, 2 ** 31, -1),
};

const headerMember = fc
  .constantFrom(...Object.keys(HEADER_MEMBERS))
  .chain((name) => fc.tuple(fc.constant(name), fc.oneof(HEADER_MEMBERS[name] ?? oddValues, oddValues)));

/** How a changed token is signed by somebody without the key. */
type Resign = (input: string, signature: string, attacker: Attacker) => string;

const RESIGNS: Readonly<Record<string, Resign>> = {
  'as it was': (_input, signature) => signature,
  'not at all': () => '',
  'with something public, SHA-256': (input, _signature, { publicTexts }) =>
    createHmac('sha256', publicTexts[input.length % publicTexts.length] ?? '')
      .update(input)
      .digest('base64url'),
  'with something public, SHA-512': (input, _signature, { publicTexts }) =>
    createHmac('sha512', publicTexts[input.length % publicTexts.length] ?? '')
      .update(input)
      .digest('base64url'),
  "with another token's": (_input, _signature, { tokens }) => tokens[0]?.split('.').at(-1) ?? '',
};

/** Changes a JSON text member by member, or, `isDoubled`, by a second member of the same name before or behind it. */
function setMember(text: string, name: string, value: unknown, how: 'set' | 'before' | 'behind' | 'drop'): string {
  const member = `${JSON.stringify(name)}:${JSON.stringify(value) ?? 'null'}`;
  const inside = text.trim().replace(/^\{/, '').replace(/\}$/, '');
  if (how === 'before') return `{${member},${inside}}`;
  if (how === 'behind') return `{${inside},${member}}`;
  try {
    const { [name]: _, ...rest } = JSON.parse(text) as Record<string, unknown>;
    return JSON.stringify(how === 'set' ? { ...rest, [name]: value } : rest);
  } catch {
    return `{${member}}`;
  }
}

const ways = fc.constantFrom('set', 'before', 'behind', 'drop' as const);
const resigns = fc.constantFrom(...Object.values(RESIGNS));

/** Changes of the text alone. */
const textMutation: fc.Arbitrary<Mutation> = fc.oneof(
  fc.tuple(fc.nat(), fc.nat(7)).map(([at, bit]): Mutation => (token) => {
    const [head, tail] = splitAt(token, at % Math.max(1, token.length));
    return head + String.fromCharCode((tail.charCodeAt(0) || 0) ^ (1 << bit)) + tail.slice(1);
  }),
  fc.tuple(fc.nat(), fc.string({ unit: 'binary', maxLength: 3 })).map(
    ([at, text]): Mutation =>
      (token) =>
        splitAt(token, place(token, at)).join(text),
  ),
  fc
    .tuple(
      fc.nat(),
      fc.constantFrom('=', '==', ' ', '\n', '\t', '\r\n', '.', '..', '+', '/', '-', '_', '\u0000', '%3D', 'A'),
    )
    .map(
      ([at, text]): Mutation =>
        (token) =>
          splitAt(token, place(token, at)).join(text),
    ),
  fc.constantFrom('=', ' ', '\n', '.', '\u0000').map(
    (text): Mutation =>
      (token) =>
        token + text,
  ),
  fc.tuple(fc.nat(), fc.nat(20)).map(([at, length]): Mutation => (token) => {
    const [head, tail] = splitAt(token, place(token, at));
    return head + tail.slice(length);
  }),
  fc.nat().map((at): Mutation => (token) => {
    const [head, tail] = splitAt(token, place(token, at));
    return tail + head;
  }),
  // The last character's spare bits: another spelling of the same bytes, for a decoder that does not look.
  fc.constantFrom(1, 2, 3).map((step): Mutation => (token) => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const last = alphabet.indexOf(token.at(-1) ?? '');
    return last < 0 ? token : token.slice(0, -1) + alphabet.charAt((last & ~3) | ((last + step) & 3));
  }),
  fc.constantFrom(
    (token: string) => token.toUpperCase(),
    (token: string) => token.toLowerCase(),
    (token: string) => token.replaceAll('-', '+').replaceAll('_', '/'),
  ),
  fc.constantFrom(2_048, 32_768, 32_769).map(
    (length): Mutation =>
      (token) =>
        token.padEnd(length, 'A'),
  ),
);

/** Changes that put segments together anew. */
const segmentMutation = (attacker: Attacker): fc.Arbitrary<Mutation> =>
  fc.oneof(
    fc.tuple(fc.nat(4), fc.nat(4)).map(([from, to]): Mutation => (token) => {
      const parts = token.split('.');
      const [one = '', other = ''] = [parts[from % parts.length], parts[to % parts.length]];
      parts[from % parts.length] = other;
      parts[to % parts.length] = one;
      return parts.join('.');
    }),
    fc.tuple(fc.constantFrom(...attacker.tokens), fc.nat(4)).map(([other, at]): Mutation => (token) => {
      const parts = token.split('.');
      const others = other.split('.');
      parts[at % parts.length] = others[at % others.length] ?? '';
      return parts.join('.');
    }),
    fc.nat(4).map(
      (at): Mutation =>
        (token) =>
          token
            .split('.')
            .filter((_, index) => index !== at)
            .join('.'),
    ),
    fc.nat(4).map(
      (at): Mutation =>
        (token) =>
          token
            .split('.')
            .map((part, index) => (index === at ? '' : part))
            .join('.'),
    ),
    fc.tuple(fc.nat(4), fc.string({ unit: 'binary', maxLength: 60 })).map(
      ([at, text]): Mutation =>
        (token) =>
          token
            .split('.')
            .map((part, index) => (index === at ? toSegment(text) : part))
            .join('.'),
    ),
  );

/** Changes of what header or claims say. */
const memberMutation = (attacker: Attacker): fc.Arbitrary<Mutation> => {
  const change =
    (at: 0 | 1, edit: (text: string) => string, resign: Resign): Mutation =>
    (token) => {
      const parts = token.split('.');
      parts[at] = toSegment(edit(fromSegment(parts[at])));
      const input = parts.slice(0, -1).join('.');
      return `${input}.${resign(input, parts.at(-1) ?? '', attacker)}`;
    };
  const claim = fc.constantFrom(
    'sub',
    'kore_sub',
    'exp',
    'aud',
    'jti',
    'iss',
    'kore_iss',
    'isAnonymous',
    'identityToMerge',
    '__proto__',
    'toString',
  );
  return fc.oneof(
    fc
      .tuple(headerMember, ways, resigns)
      .map(([[name, value], how, resign]) => change(0, (text) => setMember(text, name, value, how), resign)),
    fc
      .tuple(claim, oddValues, ways, resigns)
      .map(([name, value, how, resign]) => change(1, (text) => setMember(text, name, value, how), resign)),
    fc
      .tuple(fc.constantFrom<0 | 1>(0, 1), fc.constantFrom(10, 31, 32, 33, 200, 5_000), resigns)
      .map(([at, depth, resign]) =>
        change(
          at,
          (text) =>
            setMember(text, 'deep', 0, 'set').replace('"deep":0', `"deep":${'['.repeat(depth)}${']'.repeat(depth)}`),
          resign,
        ),
      ),
    fc
      .tuple(
        fc.constantFrom<0 | 1>(0, 1),
        fc.constantFrom('\ufeff', ' ', '[', 'null', '1', '"x"', '{"a":1', '\u00e9'),
        resigns,
      )
      .map(([at, prefix, resign]) => change(at, (text) => prefix + text, resign)),
  );
};

/** One to three changes of a token. */
export function mutations(attacker: Attacker): fc.Arbitrary<Mutation> {
  const one = fc.oneof(
    { weight: 3, arbitrary: textMutation },
    { weight: 2, arbitrary: segmentMutation(attacker) },
    { weight: 4, arbitrary: memberMutation(attacker) },
  );
  return fc.array(one, { minLength: 1, maxLength: 3 }).map(
    (all): Mutation =>
      (token) =>
        all.reduce((text, mutate) => mutate(text), token),
  );
}
