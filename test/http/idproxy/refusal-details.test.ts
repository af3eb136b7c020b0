import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import type { Json } from '../../support/assertions.ts';
import { createClaims, signToken } from '../../support/assertions.ts';
import {
  eventually,
  openRefused,
  type PlatformUnderTest,
  startPlatformUnderTest,
} from '../sessions/socket-under-test.ts';

describe('the log says which claim an assertion was refused for', () => {
  let platform: PlatformUnderTest;
  before(async () => {
    platform = await startPlatformUnderTest();
  });
  after(() => platform.close());

  const findLine = (isIt: (line: Json) => boolean): Promise<Json> =>
    eventually(() => platform.lines.map((line) => JSON.parse(line) as Json).find(isIt));

  test('that was exchanged before', async () => {
    const app = await platform.register();
    const assertion = app.sign();
    await platform.exchange(assertion);
    const { status, body } = await platform.request('POST', '/authorize', { body: { assertion } });
    assert.deepEqual([status, body.errors[0].msg], [401, 'error verifying the jwt: possibly a replay']);
    const line = await findLine(({ failure }) => failure === 'replayed');
    assert.equal(line['detail'], `${app.clientId}: "jti" was exchanged before`);
  });

  test('whose user is not registered', async () => {
    const app = await platform.register({ autoRegister: false });
    await platform.request('POST', '/authorize', { body: { assertion: app.sign() } });
    const line = await findLine(({ failure }) => failure === 'user_unknown');
    assert.equal(line['detail'], `${app.clientId}: "sub" is not a registered user`);
  });

  test('whose merge is not proven', async () => {
    const app = await platform.register({ allowAnonymous: true, merge: { requireProof: true } });
    await platform.exchange(app.sign({ sub: 'guest-1', isAnonymous: true }));
    const assertion = app.sign({ identityToMerge: 'guest-1' });
    await platform.request('POST', '/authorize', { body: { assertion } });
    const line = await findLine(({ failure }) => failure === 'merge_unproven');
    assert.equal(line['detail'], `${app.clientId}: "identityToMerge" without the bearer of that identity`);
  });

  describe('that a socket was to be opened with', () => {
    /** A socket's URL and nonce; what opens it beside them is up to the case. */
    const startSecurely = async (app: { sign(changes?: Json): string }) => {
      const { body } = await platform.start(await platform.exchange(app.sign()), { headers: { 'x-rtm-v': '1' } });
      return body as { url: string; nonce: string };
    };
    const CASES: Readonly<Record<string, readonly [Json, Json, string, RegExp]>> = {
      'by another key': [{}, { alg: 'HS256' }, 'x'.repeat(40), /^cs-.*: the signature does not hold$/],
      'of an unknown client': [{ iss: 'cs-nobody' }, { alg: 'HS256' }, 'x', /^unknown client cs-nobody$/],
      'of another algorithm': [{}, { alg: 'none' }, 'x', /"alg" is "none"; registered is HS256$/],
      'of another user': [{ sub: 'mallory' }, { alg: 'HS256' }, '', /^"sub" is not that of the socket's session$/],
    };
    for (const [name, [changes, header, key, detail]] of Object.entries(CASES)) {
      test(name, async () => {
        const app = await platform.register();
        const { url, nonce } = await startSecurely(app);
        const token =
          key === ''
            ? app.sign(changes)
            : signToken(header, createClaims(app.clientId, platform.clock.nowSeconds(), changes), 'HS256', key);
        const { status, body } = await openRefused(url, ['x-rtm-v|1', `nonce|${nonce}`, `jwt|${token}`]);
        assert.deepEqual([status, body.errors[0].msg], [401, 'nonce and token do not belong to this socket URL']);
        const line = await findLine(({ msg, clientId }) => msg === "a socket's token" && clientId === app.clientId);
        assert.match(line['detail'] as string, detail);
        assert.ok(!JSON.stringify(line).includes(token.slice(-20)));
      });
    }
  });
});
