import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { after, before, describe, it, type TestContext } from 'node:test';

import { JWKS_FRESH_SECONDS, JWKS_STALE_SECONDS } from '../../../src/apps/keys/remote-key-sets.ts';
import type { FoundAddress } from '../../../src/http/outbound/destination.ts';
import { createGetText } from '../../../src/http/outbound/get-text.ts';
import { createReachableHosts } from '../../../src/http/outbound/reachable-hosts.ts';
import { createClaims, createRsaPair, type Json, signToken } from '../../support/assertions.ts';
import { type CertificateAuthority, createCertificateAuthority } from '../../support/certificate-authority.ts';
import {
  type Answer,
  BACKENDS,
  type IdproxyUnderTest,
  START_AT,
  startIdproxyUnderTest,
} from '../../support/idproxy-under-test.ts';
import { type KeyServer, startKeyServer } from '../../support/key-server.ts';

const HOST = 'keys.internal.test';
const REFUSED = 'error verifying the jwt: not signed or encrypted by a known client';
const AWAY = 'a service that this answer depends on does not answer; try again';

const [first, second, pinned] = [createRsaPair(), createRsaPair(), createRsaPair()];
const toJwk = (kid: string, { publicKey }: { readonly publicKey: string }): Json => ({
  ...createPublicKey(publicKey).export({ format: 'jwk' }),
  kid,
  use: 'sig',
});

describe('an app whose keys are behind a URL', () => {
  let ca: CertificateAuthority;
  let server: KeyServer;
  before(async () => {
    ca = await createCertificateAuthority('Keys CA');
    server = await startKeyServer(ca, HOST);
  });
  after(async () => {
    await server.close();
    await ca.remove();
  });

  /** An idproxy and an app of its own with the URL of the key server, where the name leads to `found`. */
  const start = async (t: TestContext, hosts: readonly string[] = [HOST]) => {
    let found: readonly FoundAddress[] = [{ address: '127.0.0.1', family: 4 }];
    const getText = createGetText({
      lookup: () => Promise.resolve(found),
      mayReach: createReachableHosts(hosts),
      ca: ca.cert,
    });
    const idproxy: IdproxyUnderTest = await startIdproxyUnderTest(BACKENDS.embedded, { getText });
    t.after(() => idproxy.close());
    const jwksUrl = `https://${HOST}:${server.port}/jwks.json`;
    const registration = { name: 'Remote', algorithm: 'RS256', jwksUrl };
    const { status, body } = await idproxy.admin('POST', '/admin/apps', registration);
    assert.equal(status, 201, JSON.stringify(body));
    const before = server.requests.length;
    return {
      idproxy,
      app: body as Json,
      clientId: String(body.clientId),
      jwksUrl,
      leadTo: (...addresses: FoundAddress[]) => (found = addresses),
      at: (seconds: number) => idproxy.clock.set(START_AT + seconds),
      fetches: () => server.requests.length - before,
      exchange: (kid: string | undefined, { privateKey }: { readonly privateKey: string }): Promise<Answer> => {
        const claims = createClaims(String(body.clientId), idproxy.clock.nowSeconds());
        return idproxy.authorize(signToken({ alg: 'RS256', typ: 'JWT', kid }, claims, 'RS256', privateKey));
      },
    };
  };

  const assertRefused = (answer: Answer): void => {
    assert.deepEqual([answer.status, answer.body.errors[0].msg], [401, REFUSED]);
  };
  const assertAway = (answer: Answer): void => {
    assert.deepEqual([answer.status, answer.body.errors[0].msg], [503, AWAY]);
  };

  it('is shown with its URL, and exchanges what a key of the set has signed', async (t) => {
    const under = await start(t);
    server.publish([toJwk('1', first)]);
    const [key] = under.app['keys'] as [Json];
    assert.deepEqual([key['kind'], key['jwksUrl'], under.app['publicKey']], ['jwks', under.jwksUrl, undefined]);
    assert.equal(under.fetches(), 0, 'nothing is fetched before it is needed');
    const statuses = await Promise.all(
      Array.from({ length: 10 }, async () => (await under.exchange('1', first)).status),
    );
    assert.deepEqual(new Set(statuses), new Set([200]));
    assert.equal((await under.exchange(undefined, first)).status, 200);
    assertRefused(await under.exchange('1', second));
    assertRefused(await under.exchange(undefined, second));
    assert.equal(under.fetches(), 1);
  });

  it('follows a rotation of the set, and the end of the former key', async (t) => {
    const under = await start(t);
    server.publish([toJwk('1', first)]);
    assert.equal((await under.exchange('1', first)).status, 200);
    server.publish([toJwk('1', first), toJwk('2', second)]);
    under.at(10);
    assert.equal((await under.exchange('2', second)).status, 200);
    assert.equal(under.fetches(), 2);
    server.publish([toJwk('2', second)]);
    under.at(10 + JWKS_FRESH_SECONDS);
    assertRefused(await under.exchange('1', first));
    assert.equal((await under.exchange('2', second)).status, 200);
  });

  it('is refused with 503 where the set cannot be read, and no jti is lost', async (t) => {
    const under = await start(t);
    server.answer((res) => res.writeHead(302, { location: '/other' }).end());
    const claims = createClaims(under.clientId, START_AT);
    const token = signToken({ alg: 'RS256', kid: '1' }, claims, 'RS256', first.privateKey);
    assertAway(await under.idproxy.authorize(token));
    assert.equal(under.fetches(), 1);
    server.publish([toJwk('1', first)]);
    under.at(10);
    assert.equal((await under.idproxy.authorize(token)).status, 200);
  });

  it('goes on for a while when the set is away, and never takes more', async (t) => {
    const under = await start(t);
    server.publish([toJwk('1', first)]);
    assert.equal((await under.exchange('1', first)).status, 200);
    server.answer((res) => res.end(JSON.stringify({ keys: [toJwk('2', second), { kty: 'oct', k: 'AA', kid: '3' }] })));
    under.at(JWKS_FRESH_SECONDS);
    assert.equal((await under.exchange('1', first)).status, 200);
    assertRefused(await under.exchange('2', second));
    under.at(JWKS_STALE_SECONDS);
    assertAway(await under.exchange('1', first));
  });

  it('is refused once its name leads elsewhere, and nothing is sent there', async (t) => {
    const under = await start(t);
    server.publish([toJwk('1', first)]);
    assert.equal((await under.exchange('1', first)).status, 200);
    under.leadTo({ address: '169.254.169.254', family: 4 });
    under.at(JWKS_STALE_SECONDS);
    assertAway(await under.exchange('1', first));
    assert.equal(under.fetches(), 1);
  });

  it('is refused at an address that is not public, unless its host is listed', async (t) => {
    const under = await start(t, []);
    server.publish([toJwk('1', first)]);
    assertAway(await under.exchange('1', first));
    assert.equal(under.fetches(), 0);
  });

  it('moves from a key to a URL without an outage, and the key needs no fetch', async (t) => {
    const under = await start(t);
    server.answer((res) => res.writeHead(500).end());
    const { idproxy, clientId } = under;
    const { status } = await idproxy.admin('POST', `/admin/apps/${clientId}/keys`, { publicKey: pinned.publicKey });
    assert.equal(status, 201);
    assert.equal((await under.exchange(undefined, pinned)).status, 200);
    assert.equal((await under.exchange('9', pinned)).status, 200);
    assert.equal(under.fetches(), 0);
    assertAway(await under.exchange('1', first));
    server.publish([toJwk('1', first)]);
    under.at(10);
    assert.equal((await under.exchange('1', first)).status, 200);
  });

  it('is refused where the set holds the key for another algorithm', async (t) => {
    const under = await start(t);
    server.publish([{ ...toJwk('1', first), alg: 'RS512' }]);
    assertRefused(await under.exchange('1', first));
    assertRefused(await under.exchange(undefined, first));
  });
});
