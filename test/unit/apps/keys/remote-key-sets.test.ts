import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { describe, it } from 'node:test';

import {
  createRemoteKeySets,
  JWKS_FRESH_SECONDS,
  JWKS_PATIENCE_MS,
  JWKS_REFETCH_SECONDS,
  JWKS_STALE_SECONDS,
} from '../../../../src/apps/keys/remote-key-sets.ts';
import { type CompactJws, parseCompact } from '../../../../src/jose/compact.ts';
import { createClaims, signToken } from '../../../support/assertions.ts';
import { createFakeClock } from '../../../support/fake-clock.ts';

const URL_A = 'https://a.test/jwks';
const AWAY = { code: 'upstream_unavailable' };

const createKey = () => generateKeyPairSync('rsa', { modulusLength: 2_048 });
const [first, second] = [createKey(), createKey()];
const toSet = (keys: Readonly<Record<string, ReturnType<typeof createKey>>>): string =>
  JSON.stringify({ keys: Object.entries(keys).map(([kid, { publicKey }]) => ({ ...publicKey.export({ format: 'jwk' }), kid })) }); // prettier-ignore
const toJws = (kid: string | undefined, { privateKey }: ReturnType<typeof createKey>): CompactJws => {
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
  return parseCompact(signToken({ alg: 'RS256', kid }, createClaims('cs-1', 1_000), 'RS256', key)) as CompactJws;
};
const BY_FIRST = toJws('1', first);
const BY_SECOND = toJws('2', second);
const ONE = toSet({ 1: first });
const BOTH = toSet({ 1: first, 2: second });

/** Key sets whose source a test sets: a text, or the failure of asking for it. */
function startKeySets() {
  const clock = createFakeClock(10_000);
  const problems: string[] = [];
  let source: string | Error = ONE;
  let gate: Promise<void> | undefined;
  let fetches = 0;
  let losePatience: () => void = () => undefined;
  const sets = createRemoteKeySets({
    clock,
    getText: async () => {
      fetches++;
      await gate;
      if (source instanceof Error) throw source;
      return source;
    },
    onProblem: (detail) => problems.push(detail),
    waitMs: (ms) => {
      assert.equal(ms, JWKS_PATIENCE_MS);
      return new Promise<void>((resolve) => (losePatience = resolve));
    },
  });
  return {
    problems,
    verify: (jws: CompactJws, url = URL_A) => sets.verify(url, jws, 'RS256'),
    fetches: () => fetches,
    /** The time that a known key may have to wait for the set goes by. */
    losePatience: () => losePatience(),
    at: (seconds: number) => clock.set(10_000 + seconds),
    publish: (next: string | Error) => (source = next),
    /** Holds every answer from now on. @returns what lets them go */
    hold: (): (() => void) => {
      let open = (): void => undefined;
      gate = new Promise((resolve) => (open = resolve));
      return () => {
        gate = undefined;
        open();
      };
    },
  };
}

describe('remote key sets', () => {
  it('are read once while they are fresh', async () => {
    const under = startKeySets();
    for (const second of [0, 1, JWKS_FRESH_SECONDS - 1]) {
      under.at(second);
      assert.equal(await under.verify(BY_FIRST), true);
    }
    assert.equal(under.fetches(), 1);
    under.at(JWKS_FRESH_SECONDS);
    under.publish(toSet({ 2: second }));
    assert.equal(await under.verify(BY_FIRST), false, 'a key that was taken out is gone');
    assert.equal(under.fetches(), 2);
  });

  it('are asked for once by all who wait', async () => {
    const under = startKeySets();
    const release = under.hold();
    const all = Promise.all(Array.from({ length: 20 }, () => under.verify(BY_FIRST)));
    release();
    assert.deepEqual(new Set(await all), new Set([true]));
    assert.equal(under.fetches(), 1);
  });

  it('are read again for an unknown kid, once in a while', async () => {
    const under = startKeySets();
    assert.equal(await under.verify(BY_FIRST), true);
    under.publish(BOTH);
    assert.equal(await under.verify(BY_SECOND), false, 'too soon');
    under.at(JWKS_REFETCH_SECONDS - 0.1);
    assert.equal(await under.verify(BY_SECOND), false, 'still too soon');
    assert.equal(under.fetches(), 1);
    under.at(JWKS_REFETCH_SECONDS);
    assert.deepEqual([await under.verify(BY_SECOND), await under.verify(BY_FIRST)], [true, true]);
    assert.equal(under.fetches(), 2);
    for (let count = 0; count < 50; count++) assert.equal(await under.verify(toJws(`x${count}`, first)), false);
    assert.equal(under.fetches(), 2, 'whatever tokens ask for');
  });

  it('do not keep waiting those whose key is known while an unknown one is looked for', async () => {
    const under = startKeySets();
    await under.verify(BY_FIRST);
    under.at(JWKS_REFETCH_SECONDS);
    const release = under.hold();
    const unknown = under.verify(BY_SECOND);
    assert.equal(await under.verify(BY_FIRST), true);
    release();
    assert.equal(await unknown, false);
  });

  const FAILURES: Readonly<Record<string, string | Error>> = {
    'cannot be reached': new Error('ECONNREFUSED'),
    garbage: '<html>',
    'with a secret in it': JSON.stringify({ keys: [{ kty: 'oct', k: 'c2VjcmV0' }] }),
  };
  for (const [name, failure] of Object.entries(FAILURES)) {
    it(`that fail are used while they are young enough, and then refused: ${name}`, async () => {
      const under = startKeySets();
      assert.equal(await under.verify(BY_FIRST), true);
      under.publish(failure);
      under.at(JWKS_FRESH_SECONDS);
      assert.deepEqual([await under.verify(BY_FIRST), await under.verify(BY_SECOND)], [true, false]);
      assert.equal(under.fetches(), 2, 'one attempt for both');
      assert.match(under.problems[0] ?? '', /^the JWKS https:\/\/a\.test\/jwks cannot be read: /);
      under.at(JWKS_STALE_SECONDS - 1);
      assert.equal(await under.verify(BY_FIRST), true);
      under.at(JWKS_STALE_SECONDS);
      await assert.rejects(under.verify(BY_FIRST), AWAY);
      under.publish(ONE);
      await assert.rejects(under.verify(BY_FIRST), AWAY, 'not before the next attempt');
      under.at(JWKS_STALE_SECONDS + JWKS_REFETCH_SECONDS);
      assert.equal(await under.verify(BY_FIRST), true);
    });

    it(`that fail from the beginning are refused, and recover: ${name}`, async () => {
      const under = startKeySets();
      under.publish(failure);
      await assert.rejects(under.verify(BY_FIRST), AWAY);
      await assert.rejects(under.verify(toJws(undefined, first)), AWAY);
      assert.equal(under.fetches(), 1);
      under.publish(ONE);
      under.at(JWKS_REFETCH_SECONDS);
      assert.equal(await under.verify(BY_FIRST), true);
    });
  }

  describe('whose server hangs', () => {
    /** A set that was read once and is not fresh any more; what asks for it now gets no answer. */
    const startHanging = async (at = JWKS_FRESH_SECONDS) => {
      const under = startKeySets();
      await under.verify(BY_FIRST);
      under.at(at);
      return { under, release: under.hold() };
    };
    /** Whether something is settled when everything that waits for nothing has run. */
    const isSettled = async (promise: Promise<unknown>): Promise<boolean> => {
      const pending = Symbol('pending');
      await new Promise((resolve) => setTimeout(resolve, 20));
      return (await Promise.race([promise, Promise.resolve(pending)])) !== pending;
    };

    for (const [name, jws] of Object.entries({ 'a known kid': BY_FIRST, 'no kid': toJws(undefined, first) })) {
      it(`verify what has ${name} by the set they have, after a moment, and then at once`, async () => {
        const { under, release } = await startHanging();
        const asked = under.verify(jws);
        assert.equal(await isSettled(asked), false, 'a server that answers has its moment');
        under.losePatience();
        assert.equal(await asked, true);
        assert.equal(await under.verify(jws), true, 'nobody waits for the same answer again');
        assert.equal(under.fetches(), 2);
        under.publish(toSet({ 2: second }));
        release();
        await new Promise((resolve) => setImmediate(resolve));
        assert.equal(await under.verify(jws), false, 'what came in the background counts');
        assert.equal(under.fetches(), 2);
      });
    }

    it('have an unknown kid, and what no known key signed, wait for them', async () => {
      const { under, release } = await startHanging();
      const waiting = [under.verify(BY_SECOND), under.verify(toJws(undefined, second))];
      under.losePatience();
      for (const asked of waiting) assert.equal(await isSettled(asked), false);
      under.publish(BOTH);
      release();
      assert.deepEqual(await Promise.all(waiting), [true, true]);
    });

    it('have everybody wait for them once the set is too old', async () => {
      const { under, release } = await startHanging(JWKS_STALE_SECONDS);
      const asked = under.verify(BY_FIRST);
      under.losePatience();
      assert.equal(await isSettled(asked), false);
      under.publish(new Error('timeout'));
      release();
      await assert.rejects(asked, AWAY);
    });
  });

  it('are believed when they are empty', async () => {
    const under = startKeySets();
    await under.verify(BY_FIRST);
    under.publish('{"keys":[]}');
    under.at(JWKS_FRESH_SECONDS);
    assert.equal(await under.verify(BY_FIRST), false);
  });

  it('are read again where the clock was set back', async () => {
    const under = startKeySets();
    await under.verify(BY_FIRST);
    under.at(-3_600);
    under.publish(toSet({ 2: second }));
    assert.equal(await under.verify(BY_FIRST), false);
    assert.equal(under.fetches(), 2);
  });

  it('of one URL are not those of another', async () => {
    const under = startKeySets();
    await under.verify(BY_FIRST);
    under.publish(toSet({ 2: second }));
    assert.equal(await under.verify(BY_FIRST, 'https://b.test/jwks'), false);
    assert.equal(await under.verify(BY_FIRST), true);
  });

  it('are refused where nothing can be fetched', async () => {
    const sets = createRemoteKeySets({ getText: undefined, clock: createFakeClock(0), onProblem: () => undefined });
    await assert.rejects(sets.verify(URL_A, BY_FIRST, 'RS256'), AWAY);
  });

  it('are named without the query of their URL where they are away: it may hold a key to them', async () => {
    const under = startKeySets();
    under.publish(new Error('no route'));
    const detail = 'no JWKS from https://a.test/jwks';
    await assert.rejects(under.verify(BY_FIRST, `${URL_A}?key=private`), { ...AWAY, detail });
    assert.deepEqual(under.problems, ['the JWKS https://a.test/jwks cannot be read: no route']);
  });
});
