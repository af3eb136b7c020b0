import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { AppError, type ErrorCode } from '../../../src/core/errors.ts';
import type { Caller } from '../../../src/issuer/callers/caller.ts';
import { mintRequestSchema } from '../../../src/issuer/schemas.ts';
import { selectSubject, type Subject } from '../../../src/issuer/subject.ts';

const ANY: Caller = { kind: 'any' };
const ALICE: Caller = { kind: 'user', identity: 'alice' };
const STRANGER: Caller = { kind: 'nobody', reason: 'credential_missing' };
const EXPIRED: Caller = { kind: 'nobody', reason: 'credential_invalid' };
const MACHINE_MADE = 'dCHo1cSVGn_BBSxUJvyPlg';

interface Case {
  readonly caller: Caller;
  readonly asks: object;
  readonly allowAnonymous?: boolean;
  readonly gets: Subject | ErrorCode;
}

const known = (identity: string, identityToMerge?: string): Subject => ({
  identity,
  isAnonymous: false,
  ...(identityToMerge !== undefined && { identityToMerge }),
});
const anonymous = (identity: string): Subject => ({ identity, isAnonymous: true });

/** Who gets what. */
const CASES: Readonly<Record<string, Case>> = {
  'anyone for anyone': { caller: ANY, asks: { identity: 'bob' }, gets: known('bob') },
  'anyone for nobody': { caller: ANY, asks: {}, gets: 'invalid_request' },
  'anyone merges': { caller: ANY, asks: { identity: 'bob', identityToMerge: 'anon' }, gets: known('bob', 'anon') },
  'anyone for an anonymous user of any name': {
    caller: ANY,
    asks: { isAnonymous: 1, identity: 'a' },
    gets: anonymous('a'),
  },
  'a user for themselves': { caller: ALICE, asks: { identity: 'alice' }, gets: known('alice') },
  'a user without saying who': { caller: ALICE, asks: { identity: '' }, gets: known('alice') },
  'a user merges': {
    caller: ALICE,
    asks: { identityToMerge: MACHINE_MADE },
    gets: known('alice', MACHINE_MADE),
  },
  'a user merges somebody': { caller: ALICE, asks: { identityToMerge: 'bob@example.com' }, gets: 'invalid_request' },
  'a user for somebody else': { caller: ALICE, asks: { identity: 'bob' }, gets: 'identity_mismatch' },
  'a user in other letters': { caller: ALICE, asks: { identity: 'Alice' }, gets: 'identity_mismatch' },
  'a user anonymously': {
    caller: ALICE,
    asks: { isAnonymous: true, identity: MACHINE_MADE },
    gets: anonymous(MACHINE_MADE),
  },
  'a user anonymously as themselves': {
    caller: ALICE,
    asks: { isAnonymous: true, identity: 'alice' },
    gets: 'invalid_request',
  },
  'a stranger for a known user': { caller: STRANGER, asks: { identity: 'alice' }, gets: 'credential_missing' },
  'a stranger without a name': { caller: STRANGER, asks: {}, gets: 'credential_missing' },
  'a stranger with an old cookie': { caller: EXPIRED, asks: { identity: 'alice' }, gets: 'credential_invalid' },
  'a stranger anonymously': {
    caller: STRANGER,
    asks: { isAnonymous: true, identity: MACHINE_MADE },
    gets: anonymous(MACHINE_MADE),
  },
  'a stranger under a mail address': {
    caller: STRANGER,
    asks: { isAnonymous: true, identity: `${'a'.repeat(22)}@b.example` },
    gets: 'invalid_request',
  },
  'a stranger under 21 characters': {
    caller: STRANGER,
    asks: { isAnonymous: true, identity: 'a'.repeat(21) },
    gets: 'invalid_request',
  },
  'an anonymous user merges': {
    caller: ANY,
    asks: { isAnonymous: true, identityToMerge: 'anon' },
    gets: 'invalid_request',
  },
  'anonymous users are not allowed': {
    caller: ANY,
    asks: { isAnonymous: true },
    allowAnonymous: false,
    gets: 'anonymous_forbidden',
  },
  'not allowed to strangers either': {
    caller: STRANGER,
    asks: { isAnonymous: true },
    allowAnonymous: false,
    gets: 'anonymous_forbidden',
  },
  'known users are allowed all the same': {
    caller: ANY,
    asks: { identity: 'bob' },
    allowAnonymous: false,
    gets: known('bob'),
  },
};

describe('selectSubject', () => {
  for (const [name, { caller, asks, allowAnonymous = true, gets }] of Object.entries(CASES)) {
    it(name, () => {
      const select = (): Subject => selectSubject(mintRequestSchema.parse(asks), caller, allowAnonymous);
      if (typeof gets === 'string') assert.throws(select, (error) => error instanceof AppError && error.code === gets);
      else assert.deepEqual(select(), gets);
    });
  }

  it('makes up a new name of 128 bits for each anonymous user who has none', () => {
    const names = Array.from(
      { length: 100 },
      () => selectSubject(mintRequestSchema.parse({ isAnonymous: true }), STRANGER, true).identity,
    );
    assert.equal(new Set(names).size, 100);
    for (const name of names) assert.match(name, /^[\w-]{22}$/);
  });
});
