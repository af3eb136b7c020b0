import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { createToken } from '../../../src/core/ids.ts';
import { sha256Hex } from '../../../src/core/secret.ts';
import { createApiKeyCheck } from '../../../src/issuer/callers/api-key.ts';
import { SettingsError } from '../../../src/issuer/settings.ts';
import { assertRefused, readClaims, startIssuer } from './issuer-under-test.ts';

const BACKEND_KEY = createToken(32);
const MOBILE_KEY = createToken(32);
const KEYS = `# callers\r\n\nback end:${sha256Hex(BACKEND_KEY)}\r\n  mobile@2:${sha256Hex(MOBILE_KEY)}  \n`;
const MODE = { callerAuth: { mode: 'api-key', keys: KEYS } } as const;

describe('callers with an API key', () => {
  it('may name any identity, with each key, in each header field', async (t) => {
    const issuer = await startIssuer(t, MODE);
    const accepted: Record<string, string>[] = [
      { authorization: `Bearer ${BACKEND_KEY}` },
      { authorization: `bearer ${MOBILE_KEY}` },
      { 'x-api-key': BACKEND_KEY },
      { 'x-api-key': MOBILE_KEY, authorization: 'Basic YTpi' },
    ];
    for (const headers of accepted) {
      const answer = await issuer.ask({ identity: 'bob' }, headers);
      assert.equal(readClaims(issuer, answer).sub, 'bob');
    }
  });

  it('may name any anonymous identity', async (t) => {
    const issuer = await startIssuer(t, MODE);
    const answer = await issuer.ask({ identity: 'visitor 7', isAnonymous: true }, { 'x-api-key': BACKEND_KEY });
    assert.equal(readClaims(issuer, answer).sub, 'visitor 7');
  });

  it('are refused without one', async (t) => {
    const issuer = await startIssuer(t, MODE);
    const answer = await issuer.ask({ identity: 'bob' });
    assertRefused(answer, 401, /^a credential is missing$/);
    assert.equal(answer.headers.get('www-authenticate'), 'Bearer realm="countersign"');
  });

  it('are refused with a wrong one, anonymous users too', async (t) => {
    const issuer = await startIssuer(t, MODE);
    const wrong: Record<string, string>[] = [
      { authorization: `Bearer ${BACKEND_KEY}x` },
      { authorization: `Bearer ${BACKEND_KEY.slice(1)}` },
      { authorization: `Bearer ${sha256Hex(BACKEND_KEY)}` },
      { authorization: `Basic ${BACKEND_KEY}` },
      { authorization: BACKEND_KEY },
      { authorization: 'Bearer wrong', 'x-api-key': BACKEND_KEY },
      { 'x-api-key': 'back end' },
      { 'x-api-key': '' },
      { 'x-api-key': `${BACKEND_KEY}, ${BACKEND_KEY}` },
    ];
    for (const headers of wrong) {
      const answer = await issuer.ask({ identity: 'bob' }, headers);
      assertRefused(answer, 401, /^the credential is not valid$/);
      assert.match(answer.headers.get('www-authenticate') ?? '', /error="invalid_token"/);
      assertRefused(await issuer.ask({ isAnonymous: true }, headers), 401, /^the credential is not valid$/);
    }
  });

  it('are told apart in the log by their labels, never by their keys', async (t) => {
    const issuer = await startIssuer(t, MODE);
    await issuer.ask({ identity: 'bob' }, { 'x-api-key': MOBILE_KEY });
    await issuer.ask({ identity: 'bob' }, { 'x-api-key': `${MOBILE_KEY}x` });
    const log = issuer.log();
    assert.match(log, /"caller":"mobile@2"/);
    assert.match(log, /"failure":"credential_invalid"/);
    assert.ok(!log.includes(MOBILE_KEY) && !log.includes(sha256Hex(MOBILE_KEY)));
  });

  const hash = 'a'.repeat(64);
  const broken: Readonly<Record<string, readonly [string, RegExp]>> = {
    'no hash': [`# one\nmobile`, /line 2 is not label:sha256/],
    'a key instead of its hash': [`a:${hash}\nmobile:${MOBILE_KEY}`, /line 2 is not label:sha256/],
    'no label': [`\n\n:${hash}`, /line 3 is not label:sha256/],
    'a hash that is too long': [`a:${hash}0`, /line 1 is not label:sha256/],
    'no line': ['', /has no key/],
    'comments alone': ['# nothing\n\n', /has no key/],
  };
  for (const [name, [text, expected]] of Object.entries(broken)) {
    it(`need a file that can be read: ${name}`, () => {
      assert.throws(
        () => createApiKeyCheck(text),
        (error) =>
          error instanceof SettingsError && expected.test(error.message) && !error.message.includes(MOBILE_KEY),
      );
    });
  }
});

describe('the open mode', () => {
  it('signs for anyone and says so loudly, once', async (t) => {
    const issuer = await startIssuer(t);
    assert.equal(readClaims(issuer, await issuer.ask({ identity: 'bob' })).sub, 'bob');
    await issuer.ask({ identity: 'carol' });
    const warnings = issuer.log().match(/"level":40,[^\n]*signs for ANY identity that ANYONE asks for/g);
    assert.equal(warnings?.length, 1);
  });

  it('is not what the other modes are', async (t) => {
    const issuer = await startIssuer(t, MODE);
    assert.doesNotMatch(issuer.log(), /"level":40/);
  });
});
