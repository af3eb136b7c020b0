import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { createFuzzSubject, type FuzzSubject } from './fuzz-subject.ts';
import { runProperties } from './properties.ts';

/** Cases of an ordinary run. `npm run fuzz` runs a million with a seed of its own. */
const CASES = 100_000;
/** The same in every run, so that a run that fails fails again. */
const SEED = 20_261_121;

/** How many cases of a run come at least so far. */
const LEAST: Readonly<Record<string, number>> = {
  'changed tokens that could be parsed': 3_000,
  'changed JWEs that could be parsed': 1_000,
  'odd claims that were taken': 2_000,
  'bodies that could be read': 2_000,
  grants: 500,
};

describe('fuzz', () => {
  let subject: FuzzSubject;
  before(async () => {
    subject = await createFuzzSubject();
  });
  after(() => subject?.close());

  test('what is good is granted: the cases below start from there', async () => {
    for (const assertion of subject.good)
      for (const ask of [subject.askInMemory, subject.askOverHttp]) {
        const body = new URLSearchParams({ assertion }).toString();
        const headers = { 'content-type': 'application/x-www-form-urlencoded' };
        const { status, text } = await ask({ method: 'POST', path: '/authorize', headers, body });
        assert.equal(status, 200, text);
        assert.equal(await subject.isAuthentic(assertion), true);
        const asked = new URLSearchParams({ grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion });
        const bound = { ...headers, dpop: subject.prove() };
        const answer = await ask({ method: 'POST', path: '/oauth/token', headers: bound, body: asked.toString() });
        assert.equal((JSON.parse(answer.text) as { token_type?: string }).token_type, 'DPoP', answer.text);
      }
  });

  test(`${CASES} cases: no failure of ours, no crash, no grant for what is not signed right`, async (t) => {
    const total = await runProperties(subject, { cases: CASES, seed: SEED }, (name, count, tookMs) =>
      t.diagnostic(`${count} in ${Math.round(tookMs)} ms: ${name}`),
    );
    t.diagnostic(`${total} cases, seed ${SEED}`);
    assert.ok(total >= CASES, `${total} cases`);
    for (const [what, least] of Object.entries(LEAST)) {
      const count = subject.tallies.get(what) ?? 0;
      t.diagnostic(`${what}: ${count}`);
      assert.ok(count >= least, `${what}: ${count}`);
    }
  });
});
