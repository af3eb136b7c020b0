/** A request target, and what is to become of it. */
export interface PathVector {
  readonly target: string;
  /** The rule allows encoded slashes. */
  readonly allowEncodedSlash?: true;
  /** What the refusal says; absent where the target is taken. */
  readonly refusedFor?: RegExp;
  /** The path of a target that is taken; the target itself where it is left out. */
  readonly path?: string;
}

const CONTROL = /space or a control character/;
const ASCII = /outside ASCII/;
const FRAGMENT = /fragment/;
const START = /begin with a slash/;
const BACKSLASH = /has a backslash/;
const ESCAPE = /begins no escape/;
const UTF8 = /not UTF-8/;
const ENCODED_CONTROL = /encoded control/;
const ENCODED_SLASH = /encoded slash/;
const DOTS = /dots alone/;
const EMPTY = /empty segment/;
const DEPTH = /encoded more than 8 times/;

/** Encodes the percent signs of a text again, so many times. */
const encodeAgain = (text: string, times: number): string => text.replaceAll('%', `%${'25'.repeat(times)}`);

/** Hexadecimal of every character, as percent-encoding. */
const encodeAll = (text: string): string => text.replaceAll(/./gs, (char) => `%${char.charCodeAt(0).toString(16)}`);

/** Request targets by name, shared by the tests of paths, of the access control, and of the relays. */
export const PATH_VECTORS: Readonly<Record<string, PathVector>> = {
  'the root': { target: '/' },
  'an ordinary path': { target: '/api/orders' },
  'a final slash': { target: '/api/orders/' },
  'a query': { target: '/api/orders?page=2', path: '/api/orders' },
  'an empty query': { target: '/api?', path: '/api' },
  'dots, slashes and escapes in the query': { target: '/api?next=/../%2e%2e/%2f//\\&x=100%', path: '/api' },
  'a second question mark': { target: '/api??a?b', path: '/api' },
  'a file with an extension': { target: '/files/report.2024.pdf' },
  'a hidden file': { target: '/.well-known/openid-configuration' },
  'dots at the end of a name': { target: '/compare/a...b/v1.' },
  'dots before a name': { target: '/..x/...y/.z' },
  'parameters behind a name': { target: '/orders;jsessionid=1/items;color=red' },
  'dots within parameters': { target: '/orders;v=1.2;..;/items' },
  'all of the sub-delimiters': { target: "/a!$&'()*+,;=:@b" },
  'characters that callers forget to encode': { target: '/a"b<c>d^e`f{g|h}i[j]' },
  'an encoded space': { target: '/a%20b' },
  'an encoded percent sign': { target: '/100%25' },
  'an encoded percent sign before letters': { target: '/100%25zz/50%25ab' },
  'an encoded letter': { target: '/%61dmin' },
  'an encoded dot in a name': { target: '/report%2epdf' },
  'an encoded question mark and number sign': { target: '/what%3f/c%23' },
  'encoded UTF-8': { target: '/caf%C3%A9/%e6%97%a5%e6%9c%ac' },
  'a character of four bytes': { target: '/%f0%9f%98%80' },
  'a name with a slash of full width': { target: '/a%ef%bc%8fb' },
  'an encoded slash that is allowed': { target: '/projects/group%2Fname', allowEncodedSlash: true },
  'an encoded backslash that is allowed': { target: '/share%5cfile', allowEncodedSlash: true },
  'two encoded slashes that are allowed': { target: '/proxy/http:%2f%2fhost', allowEncodedSlash: true },
  'a slash encoded twice that is allowed': { target: '/projects/group%252fname', allowEncodedSlash: true },
  'eight times encoded': { target: encodeAgain('/a%20b', 7) },

  nothing: { target: '', refusedFor: START },
  'no slash': { target: 'api', refusedFor: START },
  'the asterisk': { target: '*', refusedFor: START },
  'a query alone': { target: '?a=b', refusedFor: START },
  'the absolute form': { target: 'http://host/path', refusedFor: START },
  'an encoded first slash': { target: '%2fapi', refusedFor: START },
  'a line end': { target: '/api\r\nHost: x', refusedFor: CONTROL },
  'a line feed in the query': { target: '/api?a=\nb', refusedFor: CONTROL },
  'a zero byte': { target: '/api\0.png', refusedFor: CONTROL },
  'a tab': { target: '/api\t', refusedFor: CONTROL },
  'a space': { target: '/api HTTP/1.1', refusedFor: CONTROL },
  'a space in the query': { target: '/api?a= b', refusedFor: CONTROL },
  'the delete character': { target: '/api\x7f', refusedFor: CONTROL },
  'a raw byte': { target: '/caf\xe9', refusedFor: ASCII },
  'a raw byte in the query': { target: '/a?caf\xe9', refusedFor: ASCII },
  'a raw character that loses its upper byte': { target: '/a\u012e\u012e/', refusedFor: ASCII },
  'a raw line end that loses its upper byte': { target: '/a\u010d\u010aHost:x', refusedFor: ASCII },
  'a lone surrogate': { target: '/a\ud800', refusedFor: ASCII },
  'a fragment': { target: '/public#/../admin', refusedFor: FRAGMENT },
  'a fragment behind the query': { target: '/public?a#b', refusedFor: FRAGMENT },
  'a backslash': { target: '/public\\admin', refusedFor: BACKSLASH },
  'a backslash that goes up': { target: '/public\\..\\admin', refusedFor: BACKSLASH },

  'one dot': { target: '/./api', refusedFor: DOTS },
  'one dot at the end': { target: '/api/.', refusedFor: DOTS },
  'two dots': { target: '/public/../admin', refusedFor: DOTS },
  'two dots at the end': { target: '/public/..', refusedFor: DOTS },
  'two dots before the query': { target: '/public/..?a', refusedFor: DOTS },
  'two dots at the start': { target: '/../admin', refusedFor: DOTS },
  'three dots': { target: '/public/.../admin', refusedFor: DOTS },
  'two dots, encoded': { target: '/public/%2e%2e/admin', refusedFor: DOTS },
  'two dots, encoded in capitals': { target: '/public/%2E%2E/admin', refusedFor: DOTS },
  'two dots, one encoded': { target: '/public/.%2e/admin', refusedFor: DOTS },
  'two dots, the other encoded': { target: '/public/%2e./admin', refusedFor: DOTS },
  'one dot, encoded': { target: '/public/%2e', refusedFor: DOTS },
  'two dots and parameters': { target: '/public/..;/admin', refusedFor: DOTS },
  'two dots and a named parameter': { target: '/public/..;a=b/admin', refusedFor: DOTS },
  'two dots and encoded parameters': { target: '/public/..%3b/admin', refusedFor: DOTS },
  'two encoded dots and parameters': { target: '/public/%2e%2e;/admin', refusedFor: DOTS },
  'one dot and parameters': { target: '/.;/admin', refusedFor: DOTS },
  'two dots and a space': { target: '/public/..%20/admin', refusedFor: DOTS },
  'a space and two dots': { target: '/public/%20../admin', refusedFor: DOTS },
  'dots about a space': { target: '/public/.%20./admin', refusedFor: DOTS },
  'two dots encoded twice': { target: '/public/%252e%252e/admin', refusedFor: DOTS },
  'two dots encoded twice, in part': { target: '/public/.%252e/admin', refusedFor: DOTS },
  'two dots encoded three times': { target: '/public/%25252e%25252e/admin', refusedFor: DOTS },
  'two dots encoded eight times': { target: encodeAgain('/public/%2e%2e/admin', 7), refusedFor: DOTS },
  'two dots, every character encoded again': { target: `/public/${encodeAll('%2e%2e')}/admin`, refusedFor: DOTS },
  'two dots, every character encoded twice': {
    target: `/public/${encodeAll(encodeAll('..'))}/admin`,
    refusedFor: DOTS,
  },
  'dots and parameters encoded twice': { target: '/public/..%253bx/admin', refusedFor: DOTS },
  'two dots in one character': { target: '/public/%e2%80%a5/admin', refusedFor: DOTS },
  'two dots of full width': { target: '/public/%ef%bc%8e%ef%bc%8e/admin', refusedFor: DOTS },
  'two dots of full width, encoded twice': { target: '/public/%25ef%25bc%258e%25ef%25bc%258e/x', refusedFor: DOTS },
  'two dots between slashes of full width': { target: '/public/a%ef%bc%8f..%ef%bc%8fb', refusedFor: DOTS },
  'two dots behind an allowed slash': { target: '/public/a%2f..%2fb', allowEncodedSlash: true, refusedFor: DOTS },
  'two dots behind an allowed backslash': { target: '/a%5c..%5cb', allowEncodedSlash: true, refusedFor: DOTS },
  'two dots behind an allowed slash encoded twice': {
    target: '/a%252f..%252fb',
    allowEncodedSlash: true,
    refusedFor: DOTS,
  },

  'an encoded slash': { target: '/public%2fadmin', refusedFor: ENCODED_SLASH },
  'an encoded slash in capitals': { target: '/public%2Fadmin', refusedFor: ENCODED_SLASH },
  'an encoded backslash': { target: '/public%5cadmin', refusedFor: ENCODED_SLASH },
  'an encoded backslash in capitals': { target: '/public%5Cadmin', refusedFor: ENCODED_SLASH },
  'an encoded slash at the end': { target: '/public%2f', refusedFor: ENCODED_SLASH },
  'a slash encoded twice': { target: '/public%252fadmin', refusedFor: ENCODED_SLASH },
  'a slash encoded three times': { target: '/public%25252fadmin', refusedFor: ENCODED_SLASH },
  'a backslash encoded twice': { target: '/public%255cadmin', refusedFor: ENCODED_SLASH },
  'a slash, every character encoded again': { target: `/public${encodeAll('%2f')}admin`, refusedFor: ENCODED_SLASH },

  'two slashes': { target: '/a//b', refusedFor: EMPTY },
  'two slashes at the start': { target: '//host/path', refusedFor: EMPTY },
  'two slashes at the end': { target: '/a//', refusedFor: EMPTY },
  'parameters without a name': { target: '/a/;x=1/b', refusedFor: EMPTY },
  'parameters without a name at the end': { target: '/a/;', refusedFor: EMPTY },

  'an encoded zero byte': { target: '/a%00.png', refusedFor: ENCODED_CONTROL },
  'an encoded line end': { target: '/a%0d%0ab', refusedFor: ENCODED_CONTROL },
  'an encoded tab': { target: '/a%09', refusedFor: ENCODED_CONTROL },
  'an encoded delete character': { target: '/a%7f', refusedFor: ENCODED_CONTROL },
  'a zero byte encoded twice': { target: '/a%2500', refusedFor: ENCODED_CONTROL },

  'a percent sign': { target: '/100%', refusedFor: ESCAPE },
  'half an escape': { target: '/a%2', refusedFor: ESCAPE },
  'no hexadecimal': { target: '/a%zz', refusedFor: ESCAPE },
  'the escape of one vendor': { target: '/public/%u002e%u002e/admin', refusedFor: ESCAPE },
  'an escape that a segment cuts': { target: '/a%/2e', refusedFor: ESCAPE },

  'a dot in two bytes': { target: '/public/%c0%ae%c0%ae/admin', refusedFor: UTF8 },
  'a slash in two bytes': { target: '/public%c0%afadmin', refusedFor: UTF8 },
  'a backslash in two bytes': { target: '/public%c1%9cadmin', refusedFor: UTF8 },
  'a dot in three bytes': { target: '/public/%e0%80%ae%e0%80%ae/admin', refusedFor: UTF8 },
  'a dot in four bytes': { target: '/public/%f0%80%80%ae', refusedFor: UTF8 },
  'a dot in two bytes, encoded twice': { target: '/public/%25c0%25ae/admin', refusedFor: UTF8 },
  'a dot in three bytes, encoded at two depths': { target: '/public/%25e0%2580%25ae', refusedFor: UTF8 },
  'a lone byte': { target: '/caf%e9', refusedFor: UTF8 },
  'a character that is cut off': { target: '/a%e6%97', refusedFor: UTF8 },
  'an encoded surrogate': { target: '/a%ed%a0%80', refusedFor: UTF8 },
  'nine times encoded': { target: encodeAgain('/a%20b', 8), refusedFor: DEPTH },
  'thousands of times encoded': { target: encodeAgain('/a%2e', 10_000), refusedFor: DEPTH },
};

/** Paths against the entries of an access control: whether they are admitted. */
export const MATCHES: Readonly<
  Record<string, { readonly path: string; readonly allowed: '/*' | readonly string[]; readonly isAllowed: boolean }>
> = {
  'everything, the root': { path: '/', allowed: '/*', isAllowed: true },
  'everything, below': { path: '/a/b/c', allowed: '/*', isAllowed: true },
  'everything as an entry': { path: '/a/b', allowed: ['/*'], isAllowed: true },
  'nothing is allowed': { path: '/', allowed: [], isAllowed: false },
  'the very path': { path: '/a', allowed: ['/a'], isAllowed: true },
  'the very path with a final slash': { path: '/a/', allowed: ['/a/'], isAllowed: true },
  'a final slash that the entry lacks': { path: '/a/', allowed: ['/a'], isAllowed: false },
  'a final slash that the path lacks': { path: '/a', allowed: ['/a/'], isAllowed: false },
  'below an exact entry': { path: '/a/b', allowed: ['/a'], isAllowed: false },
  'beside an exact entry': { path: '/ab', allowed: ['/a'], isAllowed: false },
  'the folder': { path: '/a/', allowed: ['/a/*'], isAllowed: true },
  'in the folder': { path: '/a/x', allowed: ['/a/*'], isAllowed: true },
  'deep in the folder': { path: '/a/x/y/z/', allowed: ['/a/*'], isAllowed: true },
  'the folder without its slash': { path: '/a', allowed: ['/a/*'], isAllowed: false },
  'another folder of the same start': { path: '/ab', allowed: ['/a/*'], isAllowed: false },
  'another folder of the same start, below': { path: '/ab/x', allowed: ['/a/*'], isAllowed: false },
  'parameters on the folder': { path: '/a;x/y', allowed: ['/a/*'], isAllowed: false },
  'an encoded slash for the slash': { path: '/a%2fx', allowed: ['/a/*'], isAllowed: false },
  'the second entry': { path: '/b', allowed: ['/a', '/b'], isAllowed: true },
  'other case': { path: '/A', allowed: ['/a'], isAllowed: false },
  'an encoded letter': { path: '/%61', allowed: ['/a'], isAllowed: true },
  'an encoded letter in the entry': { path: '/a/x', allowed: ['/%61/*'], isAllowed: true },
  'an encoded letter of other case': { path: '/%41', allowed: ['/a'], isAllowed: false },
  'escapes of other case': { path: '/caf%c3%a9', allowed: ['/caf%C3%A9'], isAllowed: true },
  'an encoded tilde': { path: '/%7Ebob/', allowed: ['/~bob/*'], isAllowed: true },
  'an encoded delimiter': { path: '/a%2Bb', allowed: ['/a+b'], isAllowed: false },
  'a letter encoded twice': { path: '/%2561', allowed: ['/a'], isAllowed: false },
  'an encoded asterisk is no wildcard': { path: '/a/b', allowed: ['/a/%2A'], isAllowed: false },
  'a regular expression is none': { path: '/abc', allowed: ['/a.c'], isAllowed: false },
};
