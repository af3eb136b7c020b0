import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { describe, it } from 'node:test';

import { readBasicPassword, readBearer } from '../../../src/http/credentials.ts';

const request = (authorization: string | undefined): IncomingMessage =>
  ({ headers: { authorization } }) as IncomingMessage;
const basic = (pair: string): string => `Basic ${Buffer.from(pair).toString('base64')}`;

/** What an Authorization header holds, as a bearer and as a password. */
const CASES: Readonly<Record<string, { header: string | undefined; bearer?: string; password?: string }>> = {
  'no header': { header: undefined },
  'an empty one': { header: '' },
  'a bearer': { header: 'Bearer abc.DEF-1_2~+/==', bearer: 'abc.DEF-1_2~+/==' },
  'a bearer in lower case': { header: 'bearer abc', bearer: 'abc' },
  'a bearer in upper case, with more spaces': { header: 'BEARER   abc  ', bearer: 'abc' },
  'a bearer without a token': { header: 'Bearer ' },
  'a bearer without a space': { header: 'Bearerabc' },
  'two bearers': { header: 'Bearer abc def' },
  'two bearers by a comma': { header: 'Bearer abc, Bearer def' },
  'a bearer with a character that is none': { header: 'Bearer a"b' },
  'a bearer with padding inside': { header: 'Bearer a=b' },
  'a bearer of the longest length': { header: `Bearer ${'a'.repeat(8_185)}`, bearer: 'a'.repeat(8_185) },
  'a bearer that is too long': { header: `Bearer ${'a'.repeat(8_186)}` },
  'a password': { header: basic('user:pass'), password: 'pass' },
  'a password with a colon': { header: basic('user:a:b'), password: 'a:b' },
  'an empty password': { header: basic('user:'), password: '' },
  'no user name': { header: basic(':pass'), password: 'pass' },
  'no colon': { header: basic('pass') },
  'percent-encoded': { header: basic('u%20:p%C3%BC%3A+x'), password: 'pü: x' },
  'a wrong percent-encoding': { header: basic('user:%zz') },
  'a scheme without case': { header: basic('user:pass').replace('Basic', 'bAsIc'), password: 'pass' },
  'no base64': { header: 'Basic a*b' },
  'another scheme': { header: 'Digest username="x"' },
};

describe('credentials', () => {
  for (const [name, { header, bearer, password }] of Object.entries(CASES)) {
    it(`are read: ${name}`, () => {
      assert.equal(readBearer(request(header)), bearer);
      assert.equal(readBasicPassword(request(header)), password);
    });
  }
});
