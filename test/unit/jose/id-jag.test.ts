import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { AppError } from '../../../src/core/errors.ts';
import type { JsonObject } from '../../../src/core/json.ts';
import { checkIdJag, ID_JAG_CHECKS, type IdJagRules, judgeIdJag } from '../../../src/jose/id-jag.ts';

const NOW = 1_767_225_600;
const OURS = 'https://idproxy.example';
const IDP = 'https://acme.idp.example/';
const RULES: IdJagRules = {
  issuer: IDP,
  audience: OURS,
  audiences: ['https://idproxy.kore.com/authorize'],
  enforceJti: false,
  allowAnonymous: true,
  clockToleranceSeconds: 15,
  maxLifetimeSeconds: 3_600,
};

const createPayload = (changes: JsonObject = {}): JsonObject => ({
  iss: IDP,
  sub: 'U019488227',
  aud: [OURS],
  client_id: 'cs-1',
  jti: 'jag-1',
  iat: NOW,
  exp: NOW + 300,
  ...changes,
});

const summarise = (payload: JsonObject): string[] =>
  judgeIdJag(payload, RULES, NOW).map(({ check, verdict }) => `${check.name} ${verdict}`);

describe('the rules on an identity assertion', () => {
  test('are asked one by one, those behind the first refusal too', () => {
    const broken = createPayload({
      iss: 'https://other.example/',
      iat: NOW + 60,
      exp: NOW - 60,
      resource: 'https://x.example',
      tenant: 't1',
      cnf: { 'x5t#S256': 'x' },
      email: 5,
    });
    assert.deepEqual(summarise(broken), [
      'iss refused',
      'client_id ok',
      'authorization_details ok',
      'tenant refused',
      'resource refused',
      'cnf refused',
      'email refused',
      'scope ok',
      'aud ok',
      'jti ok',
      'exp refused',
      'nbf ok',
      'iat refused',
      'lifetime not asked',
      'sub ok',
    ]);
    assert.deepEqual(
      new Set(summarise(createPayload()).map((text) => text.replace(/^.* (?=\w+$)/, ''))),
      new Set(['ok']),
    );
  });

  test('look at nothing under the names that other assertions have for it', () => {
    const named = createPayload({
      kore_sub: 'somebody',
      kore_jti: 'j',
      isAnonymous: true,
      identityToMerge: 'x',
      privateClaims: { a: 1 },
    });
    const { subject, jti, isAnonymous, identityToMerge, privateClaims } = checkIdJag(named, RULES, NOW);
    assert.deepEqual(
      [subject, jti, isAnonymous, identityToMerge, privateClaims],
      ['U019488227', 'jag-1', false, undefined, undefined],
    );
    for (const missing of ['sub', 'jti'])
      assert.throws(() => checkIdJag({ ...named, [missing]: undefined }, RULES, NOW), { code: 'claim_missing' });
  });

  test('are the same whether they are asked or kept: the first refusal is what is thrown', () => {
    const VALUES: Readonly<Record<string, readonly unknown[]>> = {
      iss: [undefined, 'x', 5],
      sub: [undefined, '', 7],
      aud: [undefined, OURS, [OURS, 'x'], 'x', []],
      jti: [undefined, '', 5],
      iat: [undefined, null, NOW + 60, 'x'],
      nbf: [NOW + 60],
      exp: [undefined, NOW - 60, NOW + 5_000],
      resource: [OURS, 'x', ['x', OURS], 5],
      cnf: [{ jkt: 'k' }, {}, 'x', { jkt: 'k', x: 1 }],
      tenant: ['t'],
      authorization_details: [[]],
      email: ['a@example.com', 5],
      scope: ['chat', []],
    };
    let [taken, refused] = [0, 0];
    const names = Object.keys(VALUES);
    for (const [at, one] of names.entries())
      for (const first of VALUES[one] ?? [])
        for (const two of names.slice(at))
          for (const second of VALUES[two] ?? []) {
            const payload = createPayload({ [one]: first, [two]: second });
            const failure = judgeIdJag(payload, RULES, NOW).find(({ verdict }) => verdict === 'refused')?.error;
            const kept = tryOut(() => checkIdJag(payload, RULES, NOW));
            assert.deepEqual([kept?.code, kept?.detail], [failure?.code, failure?.detail], JSON.stringify(payload));
            if (kept === undefined) taken += 1;
            else refused += 1;
          }
    assert.ok(taken > 20 && refused > 200, `${taken} ${refused}`);
  });

  test('rest on rules that stand before them', () => {
    const names = ID_JAG_CHECKS.map(({ name }) => name);
    assert.equal(new Set(names).size, names.length);
    for (const [at, { after = [] }] of ID_JAG_CHECKS.entries())
      for (const name of after) assert.ok(names.indexOf(name) < at && names.includes(name), name);
  });
});

function tryOut(act: () => unknown): AppError | undefined {
  try {
    act();
    return undefined;
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
}
