import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  MAX_LOGGED_PATH,
  MAX_LOGGED_TEXT,
  redactFields,
  redactText,
  toLoggedTarget,
} from '../../../../src/connector/logs/redact.ts';

const JWT = `eyJhbGciOiJIUzI1NiJ9.${'x'.repeat(40)}.sig`;
const OPAQUE = '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b';

const TARGETS: Readonly<Record<string, readonly [given: string, shown: string]>> = {
  'a plain path': ['/api/orders', '/api/orders'],
  'values of a query': ['/api?q=secret&page=2', '/api?q=*&page=*'],
  'a parameter without a value': ['/api?verbose', '/api?verbose'],
  'a token as the whole query': [`/api?${OPAQUE}`, '/api?[redacted]'],
  'a token as the name of a parameter': [`/api?${OPAQUE}=1`, '/api?[redacted]=*'],
  'a JWT in the path': [`/reset/${JWT}/now`, '/reset/[redacted]/now'],
  'an opaque segment': [`/reset/${OPAQUE}`, '/reset/[redacted]'],
  'a UUID': ['/users/7d1f0c3e-5f09-4a6b-9d3f-0d7b4c2f1e55', '/users/7d1f0c3e-5f09-4a6b-9d3f-0d7b4c2f1e55'],
  'a long word': ['/documentation-of-the-internal-application', '/documentation-of-the-internal-application'],
  'user and password before a host': ['http://user:pass@crm.virtual/api', '/api'],
  'a fragment': ['/api#access_token=abc', '/api'],
  'a line feed': ['/a\nb', '/a\nb'],
  'no path': ['*', '*'],
};

describe('what a log shows of a request', () => {
  for (const [name, [given, shown]] of Object.entries(TARGETS)) {
    it(name, () => assert.equal(toLoggedTarget(given), shown));
  }

  it('a path of any length is cut', () => {
    assert.equal(toLoggedTarget(`/${'a/'.repeat(5_000)}`).length, MAX_LOGGED_PATH + 1);
    assert.ok(toLoggedTarget(`/?${'a=1&'.repeat(50_000)}`).length < 2 * MAX_LOGGED_PATH);
  });
});

const TEXTS: Readonly<Record<string, readonly [given: string, shown: string]>> = {
  'a bearer': ['sent Authorization: Bearer abcdefghijkl', 'sent Authorization: Bearer [redacted]'],
  'basic credentials': ['Basic dXNlcjpwYXNz', 'Basic [redacted]'],
  'a JWT': [`got ${JWT}`, 'got [redacted]'],
  'a URL with a password': ['http://me:pw@proxy:3128/ failed', 'http://[redacted]@proxy:3128/ failed'],
  'a private key': ['key -----BEGIN EC PRIVATE KEY-----\nabc\n-----END EC PRIVATE KEY----- end', 'key [redacted] end'],
  'half a private key': ['-----BEGIN PRIVATE KEY-----\nabc', '[redacted]'],
  'a sentence': ['the basic idea is a bearer', 'the basic idea is a bearer'],
};

describe('what a log shows of a text', () => {
  for (const [name, [given, shown]] of Object.entries(TEXTS)) {
    it(name, () => assert.equal(redactText(given), shown));
  }

  it('a text of any length is cut', () => assert.equal(redactText('x'.repeat(100_000)).length, MAX_LOGGED_TEXT + 1));

  it('fields of a secret name are censored, however deep', () => {
    const fields = {
      password: 'a',
      nested: { proxyToken: 'b', port: 1 },
      list: [{ secret: 'c' }],
      authorization: ['d'],
    };
    assert.deepEqual(redactFields(fields), {
      password: '[redacted]',
      nested: { proxyToken: '[redacted]', port: 1 },
      list: [{ secret: '[redacted]' }],
      authorization: '[redacted]',
    });
  });

  it('an error shows its message', () => assert.deepEqual(redactFields({ error: new Error('no') }), { error: 'no' }));
});
