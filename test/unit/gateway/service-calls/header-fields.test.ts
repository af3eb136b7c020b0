import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { AppError } from '../../../../src/core/errors.ts';
import {
  type HeaderMembers,
  toHeaderMembers,
  toRequestFields,
} from '../../../../src/gateway/service-calls/header-fields.ts';
import { toNextRequest } from '../../../../src/gateway/service-calls/redirect.ts';
import type { ServiceRequest } from '../../../../src/gateway/service-calls/exchange.ts';
import { parseServiceUrl } from '../../../../src/gateway/service-calls/service-url.ts';
import { Readable } from 'node:stream';

const GOOD: Readonly<Record<string, readonly [HeaderMembers, readonly string[]]>> = {
  'order, case and several values': [
    { 'X-B': ['1', '2'], accept: '*/*' },
    ['X-B', '1', 'X-B', '2', 'accept', '*/*'],
  ],
  'an own Host': [{ Host: 'evil.test', a: 'b' }, ['a', 'b']],
  'fields of a connection': [
    { Connection: 'close', 'Keep-Alive': 'x', TE: 'trailers', 'Transfer-Encoding': 'chunked', Upgrade: 'h2c', 'Content-Length': '7', Expect: '100-continue', 'Proxy-Authorization': 'x' },
    [],
  ],
  'what Connection names': [{ connection: 'X-Hop , close', 'x-hop': '1', 'x-end': '2' }, ['x-end', '2']],
  'a credential for the service': [{ Authorization: 'Bearer x' }, ['Authorization', 'Bearer x']],
  'Latin-1': [{ 'x-name': 'Zoë' }, ['x-name', 'Zoë']],
  'an empty value': [{ 'x-name': '' }, ['x-name', '']],
}; // prettier-ignore

const BAD: Readonly<Record<string, HeaderMembers>> = {
  'a line break in a value': { a: 'b\r\nX-Evil: 1' },
  'a line feed alone': { a: 'b\nc' },
  'a null byte': { a: 'b\0c' },
  'a line break in a name': { 'a\r\nb': 'c' },
  'a colon in a name': { 'a:b': 'c' },
  'a space in a name': { 'a b': 'c' },
  'an empty name': { '': 'c' },
  'more than Latin-1': { a: '€' },
  'a value that is too long': { a: 'x'.repeat(8_193) },
  'too many': { a: Array.from({ length: 101 }, () => 'x') },
};

describe('header fields of a service call', () => {
  for (const [name, [members, fields]] of Object.entries(GOOD)) {
    it(`are passed on: ${name}`, () => assert.deepEqual(toRequestFields(members), fields));
  }
  for (const [name, members] of Object.entries(BAD)) {
    it(`are refused: ${name}`, () => {
      assert.throws(
        () => toRequestFields(members),
        (error) => error instanceof AppError && error.code === 'invalid_request',
      );
    });
  }
  it('of an answer come back by their lower-case names, without those of the connection', () => {
    const fields = [
      'Set-Cookie',
      'a=1',
      'set-cookie',
      'b=2',
      'Content-Type',
      'text/plain',
      'Connection',
      'x-hop',
      'X-Hop',
      '1',
    ];
    assert.deepEqual(toHeaderMembers(fields), { 'set-cookie': ['a=1', 'b=2'], 'content-type': 'text/plain' });
  });
});

const FIELDS = ['X-Api-Key', 'k', 'Cookie', 'c', 'Authorization', 'a', 'Accept', '*/*', 'Content-Type', 'text/plain'];

function follow(status: number, location: string | undefined, changes: Partial<ServiceRequest> = {}): string {
  const url = parseServiceUrl('https://a.test/x/y?q=1');
  const request: ServiceRequest = { method: 'POST', url, fields: FIELDS, body: Buffer.from('b'), ...changes };
  const fields = location === undefined ? [] : ['Location', location];
  try {
    const next = toNextRequest(request, { status, fields, body: Readable.from([]) });
    if (next === undefined) return 'stays';
    const names = next.fields.filter((_, index) => index % 2 === 0).join(',');
    return `${next.method} ${next.url.origin}${next.url.target} ${names} ${next.body === undefined ? 'without' : 'with'}`;
  } catch (error) {
    return error instanceof AppError ? error.code : String(error);
  }
}

const KEPT = 'X-Api-Key,Cookie,Authorization,Accept,Content-Type';
const REDIRECTS: Readonly<Record<string, readonly [string, string]>> = {
  'no Location': [follow(302, undefined), 'stays'],
  'no redirect': [follow(200, '/z'), 'stays'],
  'not modified': [follow(304, '/z'), 'stays'],
  'See Other': [follow(303, '/z'), 'GET https://a.test/z X-Api-Key,Cookie,Authorization,Accept without'],
  'Found after a POST': [follow(302, 'z?r'), 'GET https://a.test/x/z?r X-Api-Key,Cookie,Authorization,Accept without'],
  'Temporary Redirect': [follow(307, '/z'), `POST https://a.test/z ${KEPT} with`],
  'another origin, with a body': [follow(307, 'https://b.test/z'), 'stays'],
  'another origin, without a body': [follow(303, 'https://b.test/z'), 'GET https://b.test/z Accept without'],
  'another port is another origin': [follow(302, 'https://a.test:8443/'), 'GET https://a.test:8443/ Accept without'],
  'no TLS is another origin': [follow(302, 'http://a.test/'), 'GET http://a.test/ Accept without'],
  'a GET stays a GET with its fields': [follow(302, '/z', { method: 'GET', body: undefined }), `GET https://a.test/z ${KEPT} without`],
  'a stream cannot be sent twice': [follow(308, '/z', { body: { stream: Readable.from([]), length: 1 } }), 'stays'],
  'a fragment is dropped': [follow(303, '/z#f'), 'GET https://a.test/z X-Api-Key,Cookie,Authorization,Accept without'],
  'a user': [follow(303, 'https://u:p@a.test/'), 'service_failed'],
  'another scheme': [follow(303, 'file:///etc/passwd'), 'service_failed'],
  'a wrong URL': [follow(303, 'https://['), 'service_failed'],
}; // prettier-ignore

describe('a redirect', () => {
  for (const [name, [actual, expected]] of Object.entries(REDIRECTS)) it(name, () => assert.equal(actual, expected));
});
