import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { App } from '../../../src/apps/schemas.ts';
import { AppError } from '../../../src/core/errors.ts';
import {
  CONVERSATION_GRACE_SECONDS,
  createIdentities,
  parseIdentityBody,
  toIdentityBody,
} from '../../../src/sessions/identity.ts';

const KEY = Buffer.alloc(32, 1);
const identities = createIdentities(KEY);
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** An app with what a claim depends on. */
const createApp = (settings: Partial<App> = {}): App =>
  ({
    clientId: 'cs-1',
    autoRegister: true,
    merge: { allowKnown: false, requireProof: false },
    bearerLifetimeSeconds: 100,
    ...settings,
  }) as App;

describe('the id of a user', () => {
  it('is the same for the same user, whoever makes it', () => {
    const id = identities.toId('cs-1', 'alice', false);
    assert.match(id, UUID);
    assert.equal(createIdentities(Buffer.from(KEY)).toId('cs-1', 'alice', false), id);
    assert.notEqual(createIdentities(Buffer.alloc(32, 2)).toId('cs-1', 'alice', false), id);
  });

  it('is nobody else’s', () => {
    const users: readonly [string, string, boolean][] = [
      ['cs-1', 'alice', false],
      ['cs-1', 'alice', true],
      ['cs-1', 'Alice', false],
      ['cs-2', 'alice', false],
      // Joined without their lengths these would be the same text.
      ['cs-1k', 'alice', false],
      ['cs-1', '5:known', false],
      ['cs-15:known5', 'alice', false],
      ['cs-1', 'alice ', false],
      ['cs-1', 'e\u0301', false],
      ['cs-1', '\u00e9', false],
    ];
    assert.equal(new Set(users.map((user) => identities.toId(...user))).size, users.length);
  });
});

describe('an identity that is to be stored', () => {
  it('is kept where the user is known', () => {
    const [known, anonymous] = [false, true].map((isAnonymous) => identities.create('cs-1', 'alice', isAnonymous, 5.9));
    assert.deepEqual([known?.isKept, anonymous?.isKept], [true, false]);
    assert.deepEqual([known?.owner, known?.body], ['cs-1', '["alice",5]']);
    assert.notEqual(known?.id, anonymous?.id);
  });

  it('has another incarnation and another conversation each time', () => {
    const made = Array.from({ length: 50 }, () => identities.create('cs-1', 'alice', false, 0));
    assert.equal(new Set(made.map(({ id }) => id)).size, 1);
    assert.equal(new Set(made.map(({ incarnation }) => incarnation)).size, 50);
    assert.equal(new Set(made.map(({ conversation }) => conversation)).size, 50);
    for (const { incarnation } of made) assert.match(incarnation, /^[\w-]{11}$/);
  });
});

describe('the claim of an exchange', () => {
  const toClaim = (settings: Partial<App>, claims: object = {}, proof?: { tag: string; key: string }) =>
    identities.toClaim(
      { app: createApp(settings), claims: { subject: 'alice', isAnonymous: false, ...claims }, verifiedAt: 1_000 },
      proof,
    );
  const anon = identities.toId('cs-1', 'anon', true);
  const known = identities.toId('cs-1', 'anon', false);
  const proof = { tag: '0000', key: 'k' };

  it('creates whom the app lets in', () => {
    assert.equal(toClaim({}).mayCreate, true);
    assert.equal(toClaim({ autoRegister: false }).mayCreate, false);
    assert.equal(toClaim({ autoRegister: false }, { isAnonymous: true }).mayCreate, true);
  });

  it('lasts until some minutes after the bearer', () => {
    assert.equal(toClaim({}).activeMs, (100 + CONVERSATION_GRACE_SECONDS) * 1_000);
  });

  it('merges nobody where the assertion names nobody', () => {
    assert.equal('merge' in toClaim({ merge: { allowKnown: true, requireProof: true } }, {}, proof), false);
  });

  it('merges an anonymous identity of the same app, and a known one where that is allowed', () => {
    const claims = { identityToMerge: 'anon' };
    assert.deepEqual(toClaim({}, claims).merge, { ids: [anon], needsProof: false });
    const allowed = toClaim({ merge: { allowKnown: true, requireProof: true } }, claims, proof).merge;
    assert.deepEqual(allowed, { ids: [anon, known], needsProof: true, proof });
    const byAnonymous = toClaim({ merge: { allowKnown: true, requireProof: false } }, { ...claims, isAnonymous: true });
    assert.deepEqual(byAnonymous.merge?.ids, [anon]);
    const elsewhere = toClaim({ clientId: 'cs-2' }, claims).merge;
    assert.deepEqual(elsewhere?.ids, [identities.toId('cs-2', 'anon', true)]);
  });
});

describe('the stored form of an identity', () => {
  it('comes back as it was', () => {
    for (const facts of [
      { subject: 'alice', createdAt: 5 },
      { subject: '"\\é😀\u2028', createdAt: 0 },
    ])
      assert.deepEqual(parseIdentityBody(toIdentityBody(facts)), facts);
  });

  it('of something else is refused, and nothing of it is told', () => {
    for (const body of ['', '{', 'null', '{}', '[]', '[5,5]', '["alice"]', '["alice","5"]', 'alice@example.com']) {
      assert.throws(
        () => parseIdentityBody(body),
        (error) =>
          error instanceof AppError &&
          error.code === 'internal' &&
          error.cause === undefined &&
          !error.message.includes('alice'),
        body,
      );
    }
  });
});
