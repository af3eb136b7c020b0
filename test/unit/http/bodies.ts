/** The limit of the route that the table is sent to, in bytes. */
export const LIMIT = 2_048;

/** A body, what it is announced as, and what becomes of it. */
export interface BodyCase {
  readonly headers: readonly string[];
  readonly parts: readonly (string | Buffer)[];
  readonly status: 200 | 400 | 413 | 415;
  /** What is read, where it is taken. */
  readonly body?: unknown;
  /** What is said, where it is not. */
  readonly msg?: RegExp;
  /** Whether the server has to close the connection. */
  readonly cuts?: boolean;
}

const JSON_TYPE = 'Content-Type: application/json';
const FORM_TYPE = 'Content-Type: application/x-www-form-urlencoded';
const CHUNKED = 'Transfer-Encoding: chunked';

const sized = (type: string, content: string | Buffer, more: readonly string[] = []) => ({
  headers: [...(type === '' ? [] : [type]), `Content-Length: ${Buffer.byteLength(content)}`, ...more],
  parts: [typeof content === 'string' ? Buffer.from(content) : content],
});
const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`;
const json = (content: string | Buffer) => sized(JSON_TYPE, content);
const form = (content: string) => sized(FORM_TYPE, content);
const fields = (count: number): string => Array.from({ length: count }, (_, index) => `a${index}=`).join('&');

export const BODIES: Readonly<Record<string, BodyCase>> = {
  JSON: { ...json('{"a":[1,"ü",null]}'), status: 200, body: { a: [1, 'ü', null] } },
  'JSON with a charset': { ...sized(`${JSON_TYPE}; charset="UTF-8"; x=y`, '{}'), status: 200, body: {} },
  'JSON with white space around': { ...json(' \r\n{"a":1}\t'), status: 200, body: { a: 1 } },
  'JSON in upper case type': { ...sized('content-type: Application/JSON', '{}'), status: 200, body: {} },
  'JSON in chunks': {
    headers: [JSON_TYPE, CHUNKED],
    parts: [chunk('{"a"'), chunk(':1}'), '0\r\n\r\n'],
    status: 200,
    body: { a: 1 },
  },
  'JSON cut inside a character': {
    headers: [JSON_TYPE, 'Content-Length: 8'],
    parts: [Buffer.from([0x7b, 0x22, 0xc3]), Buffer.from([0xbc, 0x22, 0x3a, 0x31, 0x7d])],
    status: 200,
    body: { ü: 1 },
  },
  'no body': { headers: [], parts: [], status: 200, body: {} },
  'an empty body': { headers: [JSON_TYPE, 'Content-Length: 0'], parts: [], status: 200, body: {} },
  'an empty body without a type': { headers: ['Content-Length: 0'], parts: [], status: 200, body: {} },
  'an empty body in chunks': { headers: [JSON_TYPE, CHUNKED], parts: ['0\r\n\r\n'], status: 400, msg: /JSON/ },
  'an empty form in chunks': { headers: [FORM_TYPE, CHUNKED], parts: ['0\r\n\r\n'], status: 200, body: {} },
  'white space': { ...json('   '), status: 400, msg: /JSON/ },
  'JSON that is cut': { ...json('{"a":'), status: 400, msg: /JSON/ },
  'JSON with something behind': { ...json('{} {}'), status: 400, msg: /JSON/ },
  'JSON with a comment': { ...json('{/*a*/}'), status: 400, msg: /JSON/ },
  'an array': { ...json('[1]'), status: 400, msg: /object/ },
  'a string': { ...json('"a"'), status: 400, msg: /object/ },
  null: { ...json('null'), status: 400, msg: /object/ },
  'a member twice': { ...json('{"a":1,"a":2}'), status: 400, msg: /twice/ },
  'a member twice, once escaped': { ...json('{"a":1,"\\u0061":2}'), status: 400, msg: /twice/ },
  'a member twice, deep inside': { ...json('{"x":[{"a":{"b":1,"b":1}}]}'), status: 400, msg: /twice/ },
  'JSON nested too deep': { ...json(`{"a":${'['.repeat(40)}${']'.repeat(40)}}`), status: 400, msg: /deeper/ },
  'JSON of braces only': { ...json('{"a":'.repeat(200)), status: 400, msg: /deeper/ },
  'bad UTF-8': { ...json(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])), status: 400, msg: /not UTF-8/ },
  'UTF-8 with surrogates': {
    ...json(Buffer.from([0x7b, 0x22, 0xed, 0xa0, 0x80, 0x22, 0x3a, 0x31, 0x7d])),
    status: 400,
    msg: /not UTF-8/,
  },
  'overlong UTF-8': {
    ...json(Buffer.from([0x7b, 0x22, 0xc0, 0xaf, 0x22, 0x3a, 0x31, 0x7d])),
    status: 400,
    msg: /not UTF-8/,
  },
  'a byte order mark': { ...json('\ufeff{"a":1}'), status: 200, body: { a: 1 } },
  'UTF-16': { ...json(Buffer.from('{}', 'utf16le')), status: 400, msg: /JSON/ },
  'JSON announced as UTF-16': {
    ...sized(`${JSON_TYPE}; charset=utf-16`, '{}'),
    status: 415,
    msg: /send application\/json/,
  },
  'JSON announced as Latin-1': { ...sized(`${JSON_TYPE};charset=iso-8859-1`, '{}'), status: 415 },
  'plain text': { ...sized('Content-Type: text/plain', '{}'), status: 415 },
  multipart: { ...sized('Content-Type: multipart/form-data; boundary=x', '--x--'), status: 415 },
  'no type': { ...sized('', '{}'), status: 415 },
  'an empty type': { ...sized('Content-Type:', '{}'), status: 415 },
  'two types in one': { ...sized('Content-Type: application/json, text/plain', '{}'), status: 415 },
  'a type named like a member of every object': { ...sized('Content-Type: constructor', '{}'), status: 415 },
  gzip: { ...sized(JSON_TYPE, '{}', ['Content-Encoding: gzip']), status: 415, msg: /content-encoding/ },
  'a content-encoding that says nothing': {
    ...sized(JSON_TYPE, '{}', ['Content-Encoding: Identity']),
    status: 200,
    body: {},
  },
  'just the limit': { ...json(`{"a":"${'x'.repeat(LIMIT - 8)}"}`), status: 200, body: { a: 'x'.repeat(LIMIT - 8) } },
  'one byte over the limit': {
    ...json(`{"a":"${'x'.repeat(LIMIT - 7)}"}`),
    status: 413,
    msg: /larger than 2048 bytes/,
  },
  'over the limit in chunks': {
    headers: [JSON_TYPE, CHUNKED],
    parts: [chunk('x'.repeat(LIMIT)), chunk('y'), '0\r\n\r\n'],
    status: 413,
    msg: /larger than 2048 bytes/,
  },
  'far over the limit': { ...json('x'.repeat(500_000)), status: 413 },
  'announced beyond reason': {
    headers: [JSON_TYPE, 'Content-Length: 999999999999'],
    parts: ['{'],
    status: 413,
    cuts: true,
  },
  'more than is thrown away': { ...json('x'.repeat(3_000_000)), status: 413, cuts: true },
  'a content-length that is no number': {
    headers: [JSON_TYPE, 'Content-Length: 1e3'],
    parts: [],
    status: 400,
    cuts: true,
  },
  'two content-lengths': {
    headers: [JSON_TYPE, 'Content-Length: 2', 'Content-Length: 3'],
    parts: ['{}'],
    status: 400,
    cuts: true,
  },
  'both a length and chunks': {
    headers: [JSON_TYPE, 'Content-Length: 2', CHUNKED],
    parts: ['0\r\n\r\n'],
    status: 400,
    cuts: true,
  },
  'a chunk that is no number': { headers: [JSON_TYPE, CHUNKED], parts: ['zz\r\n'], status: 400, cuts: true },
  'an expectation that nobody knows': { ...sized(JSON_TYPE, '{}', ['Expect: a-miracle']), status: 200, body: {} },
  'a form': { ...form('a=1&b=x+y%20z&c=%C3%BC'), status: 200, body: { a: '1', b: 'x y z', c: 'ü' } },
  'a form with a charset': { ...sized(`${FORM_TYPE}; charset=UTF-8`, 'a=1'), status: 200, body: { a: '1' } },
  'a nested form': {
    ...form('assertion=x&botInfo[chatBot]=Bot&botInfo[customData][a]=1'),
    status: 200,
    body: { assertion: 'x', botInfo: { chatBot: 'Bot', customData: { a: '1' } } },
  },
  'a nested form, brackets encoded': {
    ...form('botInfo%5BchatBot%5D=Bot'),
    status: 200,
    body: { botInfo: { chatBot: 'Bot' } },
  },
  'a form field twice': { ...form('a=1&a=2'), status: 200, body: { a: ['1', '2'] } },
  'a form field without a value': { ...form('a&b='), status: 200, body: { a: '', b: '' } },
  'a form nested too deep': { ...form('a[b][c][d][e][f][g]=1'), status: 400, msg: /too many fields or levels/ },
  'a form with the most fields': {
    ...form(fields(200)),
    status: 200,
    body: Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`a${index}`, ''])),
  },
  'a form with too many fields': { ...form('a&'.repeat(200) + 'b'), status: 400, msg: /too many fields or levels/ },
  'a form with a wrong percent-encoding': { ...form('a=%zz'), status: 400, msg: /percent-encoding/ },
  'a form with half a character': { ...form('a=%C3'), status: 400, msg: /percent-encoding/ },
  'a form with a huge index': { ...form('a[999999999]=1'), status: 400, msg: /too many fields or levels/ },
  'a form that would change a prototype': {
    ...form('__proto__[a]=1&constructor[prototype][a]=1&b=2'),
    status: 200,
    body: { b: '2' },
  },
};
