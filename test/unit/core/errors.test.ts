import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import {
  AppError,
  ERRORS,
  toAppError,
  toPublicMessage,
  type ErrorCode,
  type ErrorRow,
  type PublicValues,
} from '../../../src/core/errors.ts';

const rows = Object.entries(ERRORS) as [ErrorCode, ErrorRow][];
const ALL_VALUES: Required<PublicValues> = {
  claim: 'iat',
  seconds: 7,
  limit: 4096,
  allow: 'GET, POST',
  detail: 'must be a string',
  name: 'CRM',
};

describe('every row of the table', () => {
  for (const [code, row] of rows) {
    test(code, () => {
      assert.match(code, /^[a-z]+(?:_[a-z]+)*$/);
      assert.ok(Number.isInteger(row.status) && row.status >= 400 && row.status < 600, `status ${row.status}`);
      assert.ok(row.msg.length > 0 && row.msg === row.msg.trim(), 'msg');
      assert.match(row.oauth, /^[a-z]+(?:_[a-z]+)*$/);
      if (row.oauthStatus !== undefined) assert.ok(row.oauthStatus >= 400 && row.oauthStatus < 600);
      for (const [, name = ''] of row.msg.matchAll(/\{(\w*)\}/g)) {
        assert.ok(Object.hasOwn(ALL_VALUES, name), `{${name}} is no public value`);
      }
      const message = toPublicMessage(new AppError(code, { values: ALL_VALUES }));
      assert.doesNotMatch(message, /[{}]|undefined|unreadable/);
    });
  }
});

test('the sentences of the seeds, byte for byte', () => {
  const sentence = (code: ErrorCode, values: PublicValues = {}): string =>
    toPublicMessage(new AppError(code, { values }));
  assert.equal(sentence('replayed'), 'error verifying the jwt: possibly a replay');
  assert.equal(sentence('jti_lifetime_too_long'), 'error verifying the jwt: if "jti" claim "exp" must be <= 1 hour(s)');
});

test("what is wrong with an assertion is 401 for the seeds' clients, 400 invalid_grant on /oauth (RFC 6749 §5.2)", () => {
  for (const [code, { msg, status, oauth, oauthStatus }] of rows) {
    if (!msg.startsWith('error verifying the jwt: ')) continue;
    assert.deepEqual({ status, oauth, oauthStatus }, { status: 401, oauth: 'invalid_grant', oauthStatus: 400 }, code);
  }
});

describe('toPublicMessage', () => {
  test('fills in public values, and nothing that is for the log', () => {
    const error = new AppError('claim_invalid', {
      values: { claim: 'sub', detail: 'must be a string' },
      detail: 'log-only',
      cause: new Error('log-only'),
    });
    assert.equal(toPublicMessage(error), 'error verifying the jwt: "sub" must be a string');
  });

  test('a value is printed as it is, not read as a pattern', () => {
    const values = { claim: '$& $1 {seconds}', detail: '{claim}', seconds: 1 };
    const message = toPublicMessage(new AppError('claim_invalid', { values }));
    assert.equal(message, 'error verifying the jwt: "$& $1 {seconds}" {claim}');
  });

  test('zero is a value', () => {
    assert.equal(
      toPublicMessage(new AppError('busy', { values: { seconds: 0 } })),
      'too many requests; try again in 0 s',
    );
  });

  test('a value that is missing leaves no brace behind', () => {
    for (const [code] of rows) assert.doesNotMatch(toPublicMessage(new AppError(code)), /[{}]|undefined/);
  });
});

describe('an AppError', () => {
  test('carries its code, and its detail for the log alone', () => {
    const cause = new Error('below');
    const error = new AppError('store_unavailable', { detail: 'redis is not connected', cause });
    assert.equal(error.message, 'store_unavailable: redis is not connected');
    assert.equal(error.detail, 'redis is not connected');
    assert.equal(error.cause, cause);
    assert.equal(error.name, 'AppError');
    assert.ok(error instanceof Error && error.stack?.includes('errors.test'));
    assert.deepEqual(new AppError('internal').values, {});
    assert.equal(new AppError('internal').message, 'internal');
  });

  test('anything else that is thrown becomes internal, and its message stays inside', () => {
    for (const thrown of [new TypeError('secret'), 'secret', undefined, null, { msg: 'secret' }]) {
      const error = toAppError(thrown);
      assert.equal(error.code, 'internal');
      assert.equal(error.cause, thrown);
      assert.equal(toPublicMessage(error), 'internal error');
    }
    const known = new AppError('replayed');
    assert.equal(toAppError(known), known);
  });
});
