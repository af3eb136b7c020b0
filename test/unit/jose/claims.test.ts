import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import * as fc from 'fast-check';

import { AppError, ERRORS, type ErrorCode, toPublicMessage } from '../../../src/core/errors.ts';
import { ASSERTION_CHECKS, checkClaims, type ClaimsPolicy, judgeClaims } from '../../../src/jose/claims.ts';
import { createClaims, type Json } from '../../support/assertions.ts';

const NOW = 1_767_225_600;
const POLICY: ClaimsPolicy = {
  audiences: ['https://idproxy.kore.com/authorize', 'https://idproxy.kore.ai/authorize'],
  enforceJti: false,
  allowAnonymous: false,
  clockToleranceSeconds: 15,
  maxLifetimeSeconds: 86_400,
};
const HOUR = 3_600;

function refuse(changes: Json, policy: Partial<ClaimsPolicy> = {}): AppError {
  const payload = JSON.parse(JSON.stringify(createClaims('cs-1', NOW, changes))) as Json;
  try {
    checkClaims(payload, { ...POLICY, ...policy }, NOW);
  } catch (error) {
    assert.ok(error instanceof AppError);
    return error;
  }
  return assert.fail('it was taken');
}

/** What is changed, the public sentence behind the prefix, and what the log says. */
const REFUSED: Readonly<Record<string, readonly [Json, string, string, Partial<ClaimsPolicy>?]>> = {
  'exp 42 s ago': [
    { exp: NOW - 42 },
    '"exp" is in the past: 42 s ago; tolerance 15 s',
    '"exp" is 42 s ago; tolerance 15 s; "iat" is now',
  ],
  'exp at the very end of the tolerance': [
    { exp: NOW - 15, iat: NOW - 315 },
    '"exp" is in the past: 15 s ago; tolerance 15 s',
    '"exp" is 15 s ago; tolerance 15 s; "iat" is 5 min 15 s ago',
  ],
  'exp in milliseconds': [
    { exp: (NOW - 400.5) * 1000, iat: undefined },
    '"exp" is in the past: 6 min 40 s ago; tolerance 15 s',
    '"exp" is 6 min 40 s ago (in milliseconds); tolerance 15 s',
  ],
  'exp a duration': [
    { exp: 3600, iat: undefined },
    '"exp" is in the past: 55 years ago; tolerance 15 s',
    '"exp" is 55 years ago; tolerance 15 s; is it a duration? It must be a time since 1970',
  ],
  'exp in local time': [
    { exp: NOW + 300 - 5 * HOUR - 300, iat: undefined },
    '"exp" is in the past: 5 h ago; tolerance 15 s',
    '"exp" is 5 h ago; tolerance 15 s; is it local time in place of UTC?',
  ],
  'iat just beyond the tolerance': [
    { iat: NOW + 15.25 },
    '"iat" is in the future: 15.3 s ahead; tolerance 15 s',
    `"iat" is 15.3 s ahead; tolerance 15 s; is the issuer's clock 15.3 s ahead?`,
  ],
  'iat 3 h ahead': [
    { iat: NOW + 3 * HOUR + 11, exp: NOW + 4 * HOUR },
    '"iat" is in the future: 3 h ahead; tolerance 15 s',
    '"iat" is 3 h ahead; tolerance 15 s; is it local time in place of UTC?',
  ],
  'nbf 2 days ahead, no tolerance': [
    { nbf: NOW + 48 * HOUR },
    '"nbf" is in the future: 2 days ahead; tolerance 0 s',
    `"nbf" is 2 days ahead; tolerance 0 s; is the issuer's clock 2 days ahead?`,
    { clockToleranceSeconds: 0 },
  ],
  'nbf in milliseconds': [
    { nbf: (NOW + 600) * 1000 },
    '"nbf" is in the future: 10 min ahead; tolerance 15 s',
    `"nbf" is 10 min ahead (in milliseconds); tolerance 15 s; is the issuer's clock 10 min ahead?`,
  ],
  'a life of 2 h with a jti': [
    { exp: NOW + 2 * HOUR },
    'if "jti" claim "exp" must be <= 1 hour(s)',
    '"exp" is 2 h ahead; at most 60 min from now; tolerance 15 s; "iat" is now',
  ],
  'a life of 2 days without': [
    { exp: NOW + 48 * HOUR, jti: undefined },
    '"exp" must be <= 86400 second(s) from now',
    '"exp" is 2 days ahead; at most 24 h from now; tolerance 15 s; "iat" is now',
  ],
  'exp in microseconds': [
    { exp: NOW * 1e6, iat: undefined, jti: undefined },
    '"exp" must be <= 86400 second(s) from now',
    '"exp" is more than 1000 years ahead (in milliseconds); at most 24 h from now; tolerance 15 s; is it in microseconds?',
  ],
  'exp a string': [
    { exp: '2026' },
    '"exp" must be a time as a number',
    '"exp" must be a time as a number; it is a string of 4 characters',
  ],
  'exp absent': [{ exp: undefined }, '"exp" is missing', '"exp" is missing'],
  'aud of someone else': [
    { aud: 'https://other.example\u001b[2J' },
    '"aud" has characters that no name may have',
    '"aud" has characters that no name may have',
  ],
  'aud with a slash more': [
    { aud: 'https://idproxy.kore.com/authorize/' },
    '"aud" is not an audience of this client',
    '"aud" is "https://idproxy.kore.com/authorize/"; allowed: "https://idproxy.kore.com/authorize", "https://idproxy.kore.ai/authorize"',
  ],
  'aud a list': [
    { aud: ['a', 'b'] },
    '"aud" must be a non-empty string',
    '"aud" must be a non-empty string; it is an array of 2',
  ],
  'kore_sub empty over a good sub': [
    { kore_sub: '' },
    '"kore_sub" must be a non-empty string',
    '"kore_sub" must be a non-empty string; it is empty; "kore_sub" counts before "sub"',
  ],
  'sub too long': [
    { sub: 'x'.repeat(257) },
    '"sub" must have at most 256 characters',
    '"sub" must have at most 256 characters; it is a string of 257 characters',
  ],
  'jti enforced, absent': [{ jti: undefined }, '"jti" is missing', '"jti" is missing', { enforceJti: true }],
  'isAnonymous 1': [
    { isAnonymous: 1 },
    '"isAnonymous" must be true or false',
    '"isAnonymous" must be true or false; it is a number',
  ],
  'an anonymous user': [
    { isAnonymous: 'true' },
    '"isAnonymous" users are not allowed for this client',
    '"isAnonymous" is true; "allowAnonymous" of the app is false',
  ],
  'private claims an array': [
    { PrivateClaims: ['the secret of alice'] },
    '"PrivateClaims" must be an object',
    '"PrivateClaims" must be an object; it is an array of 1',
  ],
  'private claims a text': [
    { privateClaims: 'the secret of alice' },
    '"privateClaims" must be an object',
    '"privateClaims" must be an object; it is a string of 19 characters',
  ],
  'private claims too large': [
    { privateClaims: { a: 'x'.repeat(8_200) } },
    '"privateClaims" must have at most 8192 bytes',
    '"privateClaims" has 8208 bytes, at most 8192 are allowed',
  ],
};

describe('a refusal names the claim and, of a time, the difference', () => {
  for (const [what, [changes, msg, detail, policy]] of Object.entries(REFUSED)) {
    test(what, () => {
      const error = refuse(changes, policy);
      assert.equal(toPublicMessage(error), `error verifying the jwt: ${msg}`);
      assert.equal(error.detail, detail);
    });
  }
});

test('which public sentences carry what is filled in, and that those which are said before the signature held carry no figure', () => {
  const FILLED: Readonly<Partial<Record<ErrorCode, string>>> = {
    assertion_malformed: '{detail}',
    claim_missing: '"{claim}" is missing',
    claim_invalid: '"{claim}" {detail}',
    expired: '"exp" is in the past: {detail}',
    not_yet_valid: '"{claim}" is in the future: {detail}',
    lifetime_too_long: '"exp" must be <= {seconds} second(s) from now',
  };
  const prefix = 'error verifying the jwt: ';
  const found = Object.entries(ERRORS).filter(([, { msg }]) => msg.startsWith(prefix) && msg.includes('{'));
  assert.deepEqual(Object.fromEntries(found.map(([code, { msg }]) => [code, msg.slice(prefix.length)])), FILLED);
  assert.equal(ERRORS.assertion_untrusted.msg, `${prefix}not signed or encrypted by a known client`);
});

describe('every rule asked', () => {
  const anything = fc.oneof(
    fc.constantFrom(undefined, null, '', 'a', 'true', true, false, 0, -1, 1e300, NOW * 1e3, {}, [], 'x'.repeat(300)),
    fc.integer({ min: NOW - 100_000, max: NOW + 100_000 }),
    fc.constantFrom(...POLICY.audiences),
    fc.string(),
  );
  const payloads = fc.dictionary(
    fc.constantFrom(
      'aud',
      'jti',
      'kore_jti',
      'exp',
      'nbf',
      'iat',
      'sub',
      'kore_sub',
      'isAnonymous',
      'identityToMerge',
      'privateClaims',
      'PrivateClaims',
      'secureCustomData',
    ),
    anything,
  );
  const policies = fc.record({ enforceJti: fc.boolean(), allowAnonymous: fc.boolean() });

  test('refuses first what the verification refuses, and nothing where that takes it', () => {
    let taken = 0;
    fc.assert(
      fc.property(payloads, policies, fc.boolean(), (changes, settings, isGood) => {
        const payload = isGood ? { ...createClaims('cs-1', NOW), ...changes } : changes;
        const policy = { ...POLICY, ...settings };
        const verdicts = judgeClaims(payload, policy, NOW);
        const first = verdicts.find(({ verdict }) => verdict === 'refused')?.error;
        try {
          checkClaims(payload, policy, NOW);
          taken++;
          assert.equal(first, undefined);
          assert.ok(verdicts.every(({ verdict }) => verdict === 'ok'));
        } catch (error) {
          if (!(error instanceof AppError)) throw error;
          assert.deepEqual([first?.code, first?.detail], [error.code, error.detail]);
        }
      }),
      { numRuns: 5_000 },
    );
    assert.ok(taken > 50, `only ${taken} were taken`);
  });

  test('goes on behind the first refusal, and leaves out what rests on it', () => {
    const payload = createClaims('cs-1', NOW, { aud: 'x', exp: NOW - 60, iat: NOW + 60, sub: 7 });
    const verdicts = judgeClaims(payload, POLICY, NOW);
    assert.deepEqual(
      verdicts.map(({ check, verdict }) => `${check.name} ${verdict}`),
      [
        'aud refused',
        'jti ok',
        'exp refused',
        'nbf ok',
        'iat refused',
        'lifetime not asked',
        'sub refused',
        'isAnonymous ok',
        'identityToMerge ok',
        'privateClaims ok',
      ],
    );
  });

  test('a rule rests on rules that stand before it', () => {
    const names = ASSERTION_CHECKS.map(({ name }) => name);
    assert.equal(new Set(names).size, names.length);
    for (const [at, { after = [] }] of ASSERTION_CHECKS.entries())
      for (const name of after) assert.ok(names.indexOf(name) < at && names.includes(name), name);
  });
});
