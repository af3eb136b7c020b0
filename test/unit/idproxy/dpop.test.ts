import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { describe, test } from 'node:test';

import { createCheckDpop, DPOP_CLOCK_TOLERANCE_SECONDS, DPOP_PROOF_LIFE_SECONDS } from '../../../src/idproxy/dpop.ts';
import { MAX_CLOCK_SKEW_MS } from '../../../src/stores/ports.ts';
import { createProofKey } from '../../support/dpop.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

const NOW = 1_767_225_600;
const key = createProofKey(() => NOW);

/** A check under that public URL, and what it claims. */
function createCheck(publicUrl = 'https://idproxy.example') {
  const claimed: [string, number][] = [];
  const claim = async (name: string, expiresInMs: number): Promise<boolean> => claimed.push([name, expiresInMs]) === 1;
  const check = createCheckDpop({ claims: { claim }, clock: createFakeClock(NOW), publicUrl: () => publicUrl });
  const ask = (url: string, proof: string) =>
    check({ method: 'GET', url, headersDistinct: { dpop: [proof] } } as unknown as IncomingMessage);
  return { ask, claimed };
}

/** Public URL, what the server is asked for, `htu`, and whether that is the same. */
const URLS: Readonly<Record<string, readonly [string, string, string, boolean]>> = {
  'the plain case': ['https://a.example', '/x', 'https://a.example/x', true],
  'a public URL with a slash': ['https://a.example/', '/x', 'https://a.example/x', true],
  'a public URL with a path': ['https://a.example/chat', '/x', 'https://a.example/chat/x', true],
  'a path that the proof leaves out': ['https://a.example/chat', '/x', 'https://a.example/x', false],
  'a port': ['https://a.example:8443', '/x', 'https://a.example:8443/x', true],
  'another port': ['https://a.example:8443', '/x', 'https://a.example/x', false],
  'a query on both sides': ['https://a.example', '/x?a=1', 'https://a.example/x?b=2', true],
  'the slash at the end': ['https://a.example', '/x/', 'https://a.example/x', false],
  'dot segments': ['https://a.example', '/x', 'https://a.example/y/../x', true],
  'percent-encodings in other letters': ['https://a.example', '/%c3%a4', 'https://a.example/%C3%A4', true],
  'an encoded slash is another path': ['https://a.example', '/x/y', 'https://a.example/x%2Fy', false],
  'letters of the path': ['https://a.example', '/x', 'https://a.example/X', false],
  'a host in the request line': ['https://a.example', 'http://evil.example/x', 'https://a.example/x', true],
  'that host in the proof': ['https://a.example', 'http://evil.example/x', 'http://evil.example/x', false],
  'a host in the request line that is none': ['https://a.example', 'http://a:99999/x', 'https://a.example/x', false],
  'two slashes': ['https://a.example', '//evil.example/x', 'https://evil.example/x', false],
};

describe('the request of a DPoP proof', () => {
  for (const [name, [publicUrl, url, htu, isSame]] of Object.entries(URLS)) {
    test(`${name}: ${isSame ? 'the same' : 'another one'}`, async () => {
      const asked = createCheck(publicUrl).ask(url, key.prove('GET', htu));
      if (isSame) assert.equal((await asked)?.jkt, key.jkt);
      else await assert.rejects(asked, { code: 'invalid_dpop_proof' });
    });
  }

  test('without the field there is none', async () => {
    const { claimed } = createCheck();
    const check = createCheckDpop({
      claims: { claim: () => assert.fail() },
      clock: createFakeClock(NOW),
      publicUrl: () => 'https://a.example',
    });
    const request = { method: 'GET', url: '/x', headersDistinct: {} } as unknown as IncomingMessage;
    assert.equal(await check(request), undefined);
    assert.deepEqual(claimed, []);
  });

  test('it is used up when that is asked for, under a name of its own, until nobody could take it', async () => {
    for (const ahead of [0, DPOP_CLOCK_TOLERANCE_SECONDS, -DPOP_PROOF_LIFE_SECONDS]) {
      const { ask, claimed } = createCheck();
      const proof = await ask('/x', key.prove('GET', 'https://idproxy.example/x', { iat: NOW + ahead }));
      assert.deepEqual(claimed, []);
      await proof?.use();
      const left = ahead + DPOP_PROOF_LIFE_SECONDS + DPOP_CLOCK_TOLERANCE_SECONDS;
      assert.match(claimed[0]?.[0] ?? '', /^dpop:v1:[\w-]{43}$/);
      assert.equal(claimed[0]?.[1], left * 1000 + 2 * MAX_CLOCK_SKEW_MS);
      await assert.rejects(proof?.use() ?? Promise.resolve(), { code: 'dpop_proof_replayed' });
    }
  });
});
