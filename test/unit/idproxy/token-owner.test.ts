import assert from 'node:assert/strict';
import { test } from 'node:test';

import { AppError, type ErrorCode } from '../../../src/core/errors.ts';
import type { AuthenticateToken } from '../../../src/idproxy/authenticate-token.ts';
import { createIsTokenOf, type TokenRefusal } from '../../../src/idproxy/token-owner.ts';

const SESSION = { clientId: 'cs-1', subject: 'alice', isAnonymous: false };

/** What is answered where the token fails so; nothing where the failure is handed on. */
const FAILURES: { readonly [Code in ErrorCode]?: false | undefined } = {
  assertion_malformed: false,
  assertion_untrusted: false,
  app_disabled: false,
  store_unavailable: undefined,
  upstream_unavailable: undefined,
  internal: undefined,
};

for (const [name, answer] of Object.entries(FAILURES)) {
  const code = name as ErrorCode;
  test(`a token that fails with ${code} ${answer === false ? "is nobody's" : 'is not judged'}`, async () => {
    const authenticate: AuthenticateToken = () => Promise.reject(new AppError(code, { detail: 'why' }));
    const logged: TokenRefusal[] = [];
    const asked = createIsTokenOf(authenticate, (refusal) => logged.push(refusal))('token', SESSION);
    if (answer === false) assert.equal(await asked, false);
    else await assert.rejects(asked, { code });
    assert.deepEqual(logged, answer === false ? [{ clientId: 'cs-1', failure: code, detail: 'why' }] : []);
  });
}
