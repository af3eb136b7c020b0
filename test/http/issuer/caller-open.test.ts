import assert from 'node:assert/strict';
import { request } from 'node:http';
import { describe, it, type TestContext } from 'node:test';

import type { IssuerSettings } from '../../../src/issuer/settings.ts';
import { startIssuer } from './issuer-under-test.ts';

/** The status of a mint with exactly these header fields; `fetch` would set `Host` itself. */
async function ask(
  t: TestContext,
  headers: Readonly<Record<string, string>>,
  { isNetworkAllowed = false, trustProxy = false }: { isNetworkAllowed?: boolean; trustProxy?: false | number } = {},
): Promise<number | undefined> {
  const callerAuth: IssuerSettings['callerAuth'] = { mode: 'open', isNetworkAllowed };
  const issuer = await startIssuer(t, { callerAuth }, { trustProxy });
  const { port } = new URL(issuer.url);
  const named = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, value.replace('PORT', port)]));
  return new Promise((resolve, reject) => {
    const fields = { 'content-type': 'application/json', ...named };
    const sent = request(`${issuer.url}/api/users/sts`, { method: 'POST', headers: fields }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    });
    sent.once('error', reject);
    sent.end('{"identity":"alice"}');
  });
}

const CASES: Readonly<Record<string, readonly [Record<string, string>, Parameters<typeof ask>[2], number]>> = {
  'this machine by address': [{ host: '127.0.0.1:PORT' }, {}, 200],
  'this machine by name': [{ host: 'localhost:PORT' }, {}, 200],
  'this machine by its other address': [{ host: '127.0.0.2' }, {}, 200],
  'this machine by IPv6': [{ host: '[::1]:PORT' }, {}, 200],
  'a name that was made to point here': [{ host: 'evil.example:PORT' }, {}, 403],
  'a name that looks local': [{ host: 'localhost.evil.example' }, {}, 403],
  'an address that looks local': [{ host: '127.0.0.1.evil.example' }, {}, 403],
  'a user before the name': [{ host: 'localhost@evil.example' }, {}, 403],
  'any name, where the network is let in': [{ host: 'evil.example' }, { isNetworkAllowed: true }, 200],
  'a proxy that is believed': [{ host: 'localhost', 'x-forwarded-for': '127.0.0.1' }, { trustProxy: 1 }, 403],
  'a proxy that is not believed': [{ host: 'localhost', 'x-forwarded-for': '203.0.113.9' }, {}, 403],
  'a path behind the name': [{ host: 'localhost/.evil.example' }, {}, 403],
  'a fragment behind the name': [{ host: 'localhost#.evil.example' }, {}, 403],
  'a proxy that names the scheme alone': [{ host: 'localhost', 'x-forwarded-proto': 'https' }, {}, 403],
  'this machine in capitals': [{ host: 'LOCALHOST:PORT' }, {}, 200],
  'a proxy by RFC 7239': [{ host: 'localhost', forwarded: 'for=203.0.113.9' }, {}, 403],
  'a proxy by RFC 9110': [{ host: 'localhost', via: '1.1 proxy.example' }, {}, 403],
  'a proxy, where the network is let in': [
    { host: 'localhost', 'x-forwarded-for': '203.0.113.9' },
    { isNetworkAllowed: true },
    200,
  ],
};

describe('an open issuer answers this machine alone', () => {
  for (const [what, [headers, options, status]] of Object.entries(CASES)) {
    it(`${what}: ${status}`, async (t) => assert.equal(await ask(t, headers, options), status));
  }
});
