import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ClientError } from '../../../src/client/client.ts';
import {
  type ClientUnderTest,
  createClientUnderTest,
  type Script,
  toGrant,
  toJwt,
  toRefusal,
} from './client-under-test.ts';

const [MINT, EXCHANGE, REVOKE] = ['/users/sts', '/authorize', '/oauth/revoke'];
const REPLAY = toRefusal(401, 'error verifying the jwt: possibly a replay');
const GOOD: Script = { [MINT]: [toJwt('j1')], [EXCHANGE]: [toGrant('b1'), toGrant('b2')] };

const ask = async (test: ClientUnderTest): Promise<string> =>
  test.settle(test.client.getBearer()).catch((error: unknown) => {
    assert.ok(error instanceof ClientError, String(error));
    return error.message;
  });

const counts = (test: ClientUnderTest): readonly number[] => [test.count(MINT), test.count(EXCHANGE)];

describe('a refusal', () => {
  it('is repeated to whoever asks soon after, and nobody else is asked', async () => {
    const test = createClientUnderTest({ ...GOOD, [EXCHANGE]: [REPLAY] });
    const said = new Set<string>();
    for (let call = 0; call < 100; call += 1) said.add(await ask(test));
    assert.deepEqual(said, new Set(['error verifying the jwt: possibly a replay']));
    assert.deepEqual(counts(test), [2, 2], 'one more JWT for a replay, and that is all');
  });

  it('of the issuer, too', async () => {
    const test = createClientUnderTest({ ...GOOD, [MINT]: [toRefusal(401, 'not signed in'), toJwt('j1')] });
    for (let call = 0; call < 100; call += 1) assert.equal(await ask(test), 'not signed in');
    assert.deepEqual(counts(test), [1, 0]);
    test.pass(1_000);
    assert.equal(await ask(test), 'b1');
  });

  it('is repeated for a time that grows up to a limit and ends by chance', async () => {
    for (const [random, part] of [
      [0, 0.5],
      [0.999_999, 1],
    ] as const) {
      const test = createClientUnderTest({ ...GOOD, [MINT]: [toRefusal(401, 'no')] }, { random: () => random });
      for (const ceilingMs of [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
        const before = test.count(MINT);
        await ask(test);
        assert.equal(test.count(MINT), before + 1);
        test.pass(ceilingMs * part - 5);
        await ask(test);
        assert.equal(test.count(MINT), before + 1, `${ceilingMs} ms, ${part}`);
        test.pass(6);
      }
    }
  });

  it('is forgotten by a success: the next one is short again', async () => {
    const no = toRefusal(401, 'no');
    const test = createClientUnderTest({ ...GOOD, [MINT]: [no, no, no, toJwt('j1'), no] });
    for (let call = 0; call < 3; call += 1) {
      await ask(test);
      test.pass(30_000);
    }
    assert.equal(await ask(test), 'b1');
    test.pass(3_600_000);
    assert.equal(await ask(test), 'no');
    const before = test.count(MINT);
    test.pass(500);
    await ask(test);
    assert.equal(test.count(MINT), before + 1);
  });

  it('is forgotten by signing out', async () => {
    const test = createClientUnderTest({ ...GOOD, [MINT]: [toRefusal(401, 'not signed in'), toJwt('j1')] });
    assert.equal(await ask(test), 'not signed in');
    await test.client.signOut();
    assert.equal(await ask(test), 'b1');
  });

  it('on its way is no refusal of whoever signs in after signing out', async () => {
    let come = (_: ReturnType<typeof toRefusal>): void => {};
    const late = new Promise<ReturnType<typeof toRefusal>>((done) => (come = done));
    const test = createClientUnderTest({ ...GOOD, [EXCHANGE]: [late, toGrant('b2')], [REVOKE]: [[200, {}]] });
    const before = ask(test);
    await test.flush();
    const signedOut = test.client.signOut();
    assert.equal(await before, 'aborted');
    come(toRefusal(401, 'refused late'));
    await test.settle(signedOut);
    assert.equal(await ask(test), 'b2');
  });

  it('is not what an outage is: whoever asks later asks anew', async () => {
    const test = createClientUnderTest({ ...GOOD, [MINT]: ['broken', toJwt('j1')] }, { maxAttempts: 1 });
    assert.equal(await ask(test), 'no answer');
    assert.equal(await ask(test), 'b1');
  });

  it("is not what the page's own failure is", async () => {
    let isSignedIn = false;
    const issuer = async (): Promise<string> => {
      if (!isSignedIn) throw new RangeError('not signed in');
      return 'j1';
    };
    const test = createClientUnderTest(GOOD, { issuer });
    await assert.rejects(test.settle(test.client.getBearer()), RangeError);
    isSignedIn = true;
    assert.equal(await ask(test), 'b1');
  });
});

describe('a renewal that fails', () => {
  const CALLBACKS: Readonly<Record<string, () => unknown>> = {
    throws: () => {
      throw new Error('the callback failed');
    },
    rejects: () => Promise.reject(new Error('the callback failed')),
  };
  for (const [how, onRenewalFailure] of Object.entries(CALLBACKS)) {
    it(`is told to a callback that ${how}: nothing else fails`, async () => {
      const unhandled: unknown[] = [];
      const note = (error: unknown): number => unhandled.push(error);
      process.on('unhandledRejection', note);
      try {
        let told = 0;
        const test = createClientUnderTest(
          { ...GOOD, [MINT]: [toJwt('j1'), 'broken'] },
          {
            maxAttempts: 1,
            onRenewalFailure: () => {
              told += 1;
              return onRenewalFailure();
            },
          },
        );
        assert.equal(await ask(test), 'b1');
        test.pass(0.9 * 3_600_000);
        assert.equal(await ask(test), 'b1');
        await test.flush();
        assert.deepEqual([told, unhandled], [1, []]);
      } finally {
        process.off('unhandledRejection', note);
      }
    });
  }
});
