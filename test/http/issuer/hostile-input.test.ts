import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { describe, it } from 'node:test';

import { assertRefused, type IssuerUnderTest, PAGE, readClaims, startIssuer } from './issuer-under-test.ts';

interface Hostile {
  readonly type?: string;
  readonly body: string | Uint8Array<ArrayBuffer>;
  readonly status: 400 | 413 | 415;
  readonly headers?: Readonly<Record<string, string>>;
}

const JSON_TYPE = 'application/json';
const FORM = 'application/x-www-form-urlencoded';
const json = (value: unknown): string => JSON.stringify(value);
const bytes = (...values: number[]): Uint8Array<ArrayBuffer> => Uint8Array.from(values);

/** Bodies that nobody should send. Each is refused with the status named. */
const HOSTILE: Readonly<Record<string, Hostile>> = {
  'nothing at all': { body: '', status: 400 },
  'an empty object': { body: '{}', status: 400 },
  'an empty identity': { body: json({ identity: '' }), status: 400 },
  'an identity that is null': { body: json({ identity: null }), status: 400 },
  'an identity that is a number': { body: json({ identity: 7 }), status: 400 },
  'an identity that is true': { body: json({ identity: true }), status: 400 },
  'an identity that is a list': { body: json({ identity: ['alice'] }), status: 400 },
  'an identity that is an object': { body: json({ identity: { toString: 'alice' } }), status: 400 },
  'an identity of 257 characters': { body: json({ identity: 'a'.repeat(257) }), status: 400 },
  'an identity with a line break': { body: json({ identity: 'alice\nbob' }), status: 400 },
  'an identity with NUL': { body: json({ identity: 'alice\u0000' }), status: 400 },
  'an identity with a C1 control': { body: json({ identity: 'alice\u0085' }), status: 400 },
  'a lone high surrogate': { body: '{"identity":"a\\ud800"}', status: 400 },
  'a lone low surrogate': { body: '{"identity":"\\udc00a"}', status: 400 },
  'isAnonymous: a word': { body: json({ identity: 'a', isAnonymous: 'yes' }), status: 400 },
  'isAnonymous: empty': { body: json({ identity: 'a', isAnonymous: '' }), status: 400 },
  'isAnonymous: null': { body: json({ identity: 'a', isAnonymous: null }), status: 400 },
  'isAnonymous: 2': { body: json({ identity: 'a', isAnonymous: 2 }), status: 400 },
  'isAnonymous: TRUE': { body: json({ identity: 'a', isAnonymous: 'TRUE' }), status: 400 },
  'isAnonymous: a list': { body: json({ identity: 'a', isAnonymous: [true] }), status: 400 },
  'identityToMerge: a list': { body: json({ identity: 'a', identityToMerge: ['b'] }), status: 400 },
  'identityToMerge: too long': { body: json({ identity: 'a', identityToMerge: 'b'.repeat(257) }), status: 400 },
  'aud: a list': { body: json({ identity: 'a', aud: ['b'] }), status: 400 },
  'aud: too long': { body: json({ identity: 'a', aud: 'b'.repeat(1_025) }), status: 400 },
  'a duplicate member': { body: '{"identity":"alice","identity":"bob"}', status: 400 },
  'a duplicate member, escaped': { body: '{"identity":"alice","\\u0069dentity":"bob"}', status: 400 },
  'a duplicate member further down': { body: '{"identity":"alice","x":{"a":1,"a":2}}', status: 400 },
  'only a __proto__': { body: '{"__proto__":{"identity":"alice"}}', status: 400 },
  'only a constructor': { body: '{"constructor":{"prototype":{"identity":"alice"}}}', status: 400 },
  'a list': { body: '[]', status: 400 },
  null: { body: 'null', status: 400 },
  'a number': { body: '1e999', status: 400 },
  'an absurd number for a name': { body: '{"identity":1e400}', status: 400 },
  'a truncated object': { body: '{"identity":"alice"', status: 400 },
  'a truncated text': { body: '{"identity":"ali', status: 400 },
  'two objects': { body: '{"identity":"a"}{"identity":"b"}', status: 400 },
  'a byte order mark alone': { body: bytes(0xef, 0xbb, 0xbf), status: 400 },
  'bytes that are no UTF-8': { body: bytes(0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d), status: 400 },
  'depth 33': { body: `{"identity":"a","x":${'['.repeat(32)}${']'.repeat(32)}}`, status: 400 },
  'depth 7000': { body: `{"identity":"a","x":${'['.repeat(7_000)}`, status: 400 },
  'more than 16 KB': { body: json({ identity: 'a', x: 'x'.repeat(16_384) }), status: 413 },
  'form: nothing': { type: FORM, body: '', status: 400 },
  'form: a field twice': { type: FORM, body: 'identity=alice&identity=bob', status: 400 },
  'form: a list': { type: FORM, body: 'identity[]=alice', status: 400 },
  'form: an index': { type: FORM, body: 'identity[0]=alice', status: 400 },
  'form: an object': { type: FORM, body: 'identity[a]=alice', status: 400 },
  'form: a __proto__': { type: FORM, body: '__proto__[identity]=alice', status: 400 },
  'form: a constructor': { type: FORM, body: 'constructor[prototype][identity]=alice', status: 400 },
  'form: a wrong percent-encoding': { type: FORM, body: 'identity=%zz', status: 400 },
  'form: half a percent-encoding': { type: FORM, body: 'identity=alice%', status: 400 },
  'form: a percent-encoding that is no UTF-8': { type: FORM, body: 'identity=%c3%28', status: 400 },
  'form: an encoded surrogate': { type: FORM, body: 'identity=%ed%a0%80', status: 400 },
  'form: an encoded NUL': { type: FORM, body: 'identity=a%00b', status: 400 },
  'form: too many fields': { type: FORM, body: `identity=a&${'x=1&'.repeat(250)}y=1`, status: 400 },
  'form: too deep': { type: FORM, body: `identity=a&x${'[a]'.repeat(40)}=1`, status: 400 },
  'form: a huge index': { type: FORM, body: 'identity[99999999999]=a', status: 400 },
  'form: more than 16 KB': { type: FORM, body: `identity=${'a'.repeat(16_384)}`, status: 413 },
  'a JSON body called a form': { type: FORM, body: '{"identity":"alice"}', status: 400 },
  'a form called JSON': { body: 'identity=alice', status: 400 },
  'plain text': { type: 'text/plain', body: '{"identity":"alice"}', status: 415 },
  multipart: { type: 'multipart/form-data; boundary=x', body: '--x--', status: 415 },
  XML: { type: 'application/xml', body: '<identity>alice</identity>', status: 415 },
  'no real type': { type: 'constructor', body: '{"identity":"alice"}', status: 415 },
  'JSON in UTF-16': { type: 'application/json; charset=utf-16', body: '{"identity":"alice"}', status: 415 },
  'a compressed body': { body: bytes(31, 139), status: 415, headers: { 'content-encoding': 'gzip' } },
};

const post = (issuer: IssuerUnderTest, { type = JSON_TYPE, body, headers = {} }: Hostile) =>
  issuer.send('/api/users/sts', { method: 'POST', headers: { 'content-type': type, origin: PAGE, ...headers }, body });

/** What a raw connection answers to `text`. */
function speak(url: string, text: string, isEnding: boolean): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    const chunks: Buffer[] = [];
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('error', reject);
    socket.on('close', () => resolve(Buffer.concat(chunks).toString('latin1')));
    if (isEnding) socket.end(text, 'latin1');
    else socket.write(text, 'latin1');
  });
}

describe('hostile bodies', () => {
  it('are refused, each with a reason in JSON, and the process lives', async (t) => {
    const issuer = await startIssuer(t);
    for (const [name, hostile] of Object.entries(HOSTILE)) {
      await t.test(name, async () => {
        const answer = await post(issuer, hostile);
        assertRefused(answer, hostile.status, /./);
        assert.equal(answer.headers.get('access-control-allow-origin'), PAGE);
      });
    }
    assert.equal(readClaims(issuer, await issuer.ask({ identity: 'alice' })).sub, 'alice');
    assert.equal(({} as { identity?: unknown }).identity, undefined, 'no prototype was touched');
  });

  it('name every wrong field at once and quote no value', async (t) => {
    const issuer = await startIssuer(t);
    const answer = await issuer.ask({ identity: ['s3cret'], isAnonymous: 's3cret', aud: 7 });
    assertRefused(
      answer,
      400,
      /^"identity" must be a string; "isAnonymous" must be true or false; "aud" must be a string$/,
    );
    assert.doesNotMatch(answer.text, /s3cret/);
  });

  it('may hold members that nobody knows', async (t) => {
    const issuer = await startIssuer(t);
    const answer = await issuer.send('/users/sts', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"__proto__":{"isAnonymous":true},"constructor":1,"identity":"alice","token":{},"uiVersion":"v3","privateClaims":{"role":"admin"},"iss":"x","exp":9e99}',
    });
    const claims = readClaims(issuer, answer);
    assert.equal(claims.sub, 'alice');
    assert.equal(claims['isAnonymous'], false);
    assert.deepEqual(Object.keys(claims), ['iat', 'exp', 'jti', 'aud', 'iss', 'sub', 'isAnonymous']);
  });

  for (const identity of [
    'a',
    'x'.repeat(256),
    'Zoë 😀',
    '+4915112345678',
    '*',
    '__proto__',
    '<script>',
    'alice@example.com ',
  ]) {
    it(`take unusual names as they are: ${identity.slice(0, 20)}`, async (t) => {
      const issuer = await startIssuer(t);
      const form = new URLSearchParams({ identity });
      for (const answer of [
        await issuer.ask({ identity }),
        await issuer.send('/users/sts', { method: 'POST', body: form }),
      ]) {
        assert.equal(readClaims(issuer, answer).sub, identity);
      }
    });
  }

  it('that break off do no harm', async (t) => {
    const issuer = await startIssuer(t);
    const head = 'POST /users/sts HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n';
    await speak(issuer.url, `${head}Content-Length: 100\r\n\r\n{"identity":`, true);
    assert.match(await speak(issuer.url, `${head}Content-Length: -5\r\n\r\n{}`, true), /^HTTP\/1\.1 400 /);
    assert.match(await speak(issuer.url, `${head}Transfer-Encoding: chunked\r\n\r\nzz\r\n`, true), /^HTTP\/1\.1 400 /);
    assert.match(await speak(issuer.url, `GET /${'a'.repeat(20_000)} HTTP/1.1\r\n\r\n`, true), /^HTTP\/1\.1 431 /);
    assert.match(await speak(issuer.url, '\u0016\u0003\u0001\u0000', true), /^HTTP\/1\.1 400 /);
    assert.equal(readClaims(issuer, await issuer.ask({ identity: 'alice' })).sub, 'alice');
  });

  it('of no known length are cut at the limit, before they end', async (t) => {
    const issuer = await startIssuer(t);
    const head =
      'POST /users/sts HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n';
    const answer = await speak(issuer.url, `${head}8000\r\n${'x'.repeat(0x8000)}\r\n`, false);
    assert.match(answer, /^HTTP\/1\.1 413 /);
    assert.match(answer, /larger than 16384 bytes/);
  });

  for (const path of ['/api/users/sts%', '/users/%zz', '//users//sts', '/users/sts/../../etc', '/%00']) {
    it(`on odd paths are not served: ${path}`, async (t) => {
      const issuer = await startIssuer(t);
      const answer = await speak(
        issuer.url,
        `POST ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`,
        false,
      );
      assert.match(answer, /^HTTP\/1\.1 40[04] [^]*\r\n\r\n\{"errors":\[/);
    });
  }
});
