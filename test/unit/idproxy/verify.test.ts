import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { App } from '../../../src/apps/schemas.ts';
import { AppError } from '../../../src/core/errors.ts';
import type { AuthenticateToken } from '../../../src/idproxy/authenticate-token.ts';
import { createVerifyAssertion } from '../../../src/idproxy/verify.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

const toVerify = (error: unknown) => {
  const profile = {
    checkClaims: () => {
      throw error;
    },
  };
  const authentic = { app: { clientId: 'cs-1' } as App, profile, payload: {}, signingInput: '' };
  const authenticate = (async () => authentic) as unknown as AuthenticateToken;
  return createVerifyAssertion(authenticate, createFakeClock(0), () => '');
};

test('the log is told whose assertion was refused; the answer is the same', async () => {
  const values = { claim: 'exp', detail: '42 s ago; tolerance 15 s' };
  const refused = (await toVerify(new AppError('expired', { values, detail: '"exp" is 42 s ago' }))('').catch(
    (error: unknown) => error,
  )) as AppError;
  assert.deepEqual([refused.code, refused.values, refused.detail], ['expired', values, 'cs-1: "exp" is 42 s ago']);
  await assert.rejects(toVerify(new AppError('replayed'))(''), { code: 'replayed', detail: 'cs-1' });
});

test('what nobody foresaw stays what it is', async () => {
  await assert.rejects(toVerify(new TypeError('x'))(''), TypeError);
});
