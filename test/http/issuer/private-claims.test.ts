import assert from 'node:assert/strict';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, describe, it, type TestContext } from 'node:test';

import jsonwebtoken from 'jsonwebtoken';
import jose from 'node-jose';

import type { JsonObject } from '../../../src/core/json.ts';
import { Secret } from '../../../src/core/secret.ts';
import { createRsaPrivateKeyPem, parseRsaPrivateKey, toPublicJwk } from '../../../src/jose/jwk.ts';
import { SettingsError, type ClaimsOrigin, type IssuerSettings } from '../../../src/issuer/settings.ts';
import {
  type Answer,
  assertRefused,
  type IssuerUnderTest,
  readClaims,
  readJwt,
  startIssuer,
} from './issuer-under-test.ts';
import { answerJson, type Answering, startUpstream } from './upstream-under-test.ts';

const URL_TOKEN = 'claims-url-t0ken';

describe('private claims', () => {
  let pem: string;
  let jwe: NonNullable<IssuerSettings['jwe']>;

  before(async () => {
    pem = await createRsaPrivateKeyPem();
    jwe = { jwk: { ...toPublicJwk(parseRsaPrivateKey(pem)), kid: 'k-1' }, alg: 'RSA-OAEP', enc: 'A128GCM' };
  });

  /** The claims inside a nested JWE, decrypted and verified with other implementations. */
  async function open(issuer: IssuerUnderTest, answer: Answer): Promise<JsonObject> {
    const keys = await jose.JWK.createKeyStore().add(pem, 'pem', { kid: 'k-1' });
    const { plaintext } = await jose.JWE.createDecrypt(keys).decrypt(readJwt(answer));
    return jsonwebtoken.verify(plaintext.toString(), issuer.secret, { algorithms: ['HS256'] }) as JsonObject;
  }

  async function createFile(t: TestContext, content: string): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'countersign-claims-'));
    t.after(() => rm(folder, { recursive: true }));
    const path = join(folder, 'claims.json');
    await writeFile(path, content);
    return path;
  }

  const startWith = (t: TestContext, claims: ClaimsOrigin, settings: Partial<IssuerSettings> = {}) =>
    startIssuer(t, { jwe, claims, ...settings });

  async function startWithUrl(t: TestContext, answer: Answering, upstreamTimeoutMs = 5_000) {
    const upstream = await startUpstream(t, answer);
    const claims = { url: `${upstream.url}/claims`, token: new Secret(URL_TOKEN) };
    return { upstream, issuer: await startWith(t, claims, { upstreamTimeoutMs }) };
  }

  describe('from a file', () => {
    const FILE = JSON.stringify({ 'alice@example.com': { plan: 'gold' }, '*': { plan: 'none' } });

    it('go to the user they belong to, and the rest to everyone else', async (t) => {
      const issuer = await startWith(t, { file: await createFile(t, FILE) });
      const expected = {
        'alice@example.com': 'gold',
        bob: 'none',
        ['__proto__']: 'none',
        constructor: 'none',
        '*': 'none',
      };
      assert.equal(Object.keys(expected).length, 5);
      for (const [identity, plan] of Object.entries(expected)) {
        const claims = await open(issuer, await issuer.ask({ identity }));
        assert.deepEqual(claims['privateClaims'], { plan }, identity);
      }
    });

    it('are left out for a user who has none', async (t) => {
      const issuer = await startWith(t, { file: await createFile(t, '{"alice":{"plan":"gold"}}') });
      for (const identity of ['bob', '__proto__', 'toString', '*']) {
        assert.ok(!('privateClaims' in (await open(issuer, await issuer.ask({ identity })))), identity);
      }
    });

    it('are left out for anonymous users', async (t) => {
      const issuer = await startWith(t, { file: await createFile(t, FILE) });
      assert.ok(!('privateClaims' in (await open(issuer, await issuer.ask({ isAnonymous: true })))));
    });

    it('never come from the browser', async (t) => {
      const issuer = await startWith(t, { file: await createFile(t, FILE) });
      const body = {
        identity: 'alice@example.com',
        privateClaims: { plan: 'forged' },
        secureCustomData: { plan: 'forged' },
      };
      const claims = await open(issuer, await issuer.ask(body));
      assert.deepEqual(claims['privateClaims'], { plan: 'gold' });
      assert.ok(!('secureCustomData' in claims));
    });

    it('may travel under the other name', async (t) => {
      const issuer = await startWith(t, { file: await createFile(t, FILE) }, { claimsName: 'secureCustomData' });
      const claims = await open(issuer, await issuer.ask({ identity: 'alice@example.com' }));
      assert.deepEqual(claims['secureCustomData'], { plan: 'gold' });
      assert.ok(!('privateClaims' in claims));
    });

    it('never travel in a token that is only signed', async (t) => {
      const issuer = await startIssuer(t, { claims: { file: await createFile(t, FILE) } });
      assert.ok(!('privateClaims' in readClaims(issuer, await issuer.ask({ identity: 'alice@example.com' }))));
    });

    it('are read again when the file changes, in place or by another one', async (t) => {
      const path = await createFile(t, '{"alice":{"v":1}}');
      const issuer = await startWith(t, { file: path });
      const read = async () => (await open(issuer, await issuer.ask({ identity: 'alice' })))['privateClaims'];
      assert.deepEqual(await read(), { v: 1 });
      await writeFile(path, '{"alice":{"v":22}}');
      assert.deepEqual(await read(), { v: 22 });
      await writeFile(`${path}.new`, '{"alice":{"v":33}}');
      await rename(`${path}.new`, path);
      assert.deepEqual(await read(), { v: 33 });
    });

    it('stay as they were while the file is broken or gone; the log says so once each time', async (t) => {
      const path = await createFile(t, '{"alice":{"v":1}}');
      const issuer = await startWith(t, { file: path });
      const read = async () => (await open(issuer, await issuer.ask({ identity: 'alice' })))['privateClaims'];
      const countErrors = () =>
        issuer.log().match(/"level":50,[^\n]*the last good private claims stay in use/g)?.length ?? 0;
      const breaks = [
        () => writeFile(path, '{"alice":{"v":'),
        () => writeFile(path, '{"alice":"s3cret"}'),
        () => writeFile(path, '{"alice":{"v":1},"alice":{"v":2}}'),
        () => rm(path),
      ];
      for (const [index, breakIt] of breaks.entries()) {
        await breakIt();
        assert.deepEqual([await read(), await read(), await read()], [{ v: 1 }, { v: 1 }, { v: 1 }]);
        assert.equal(countErrors(), index + 1);
      }
      await writeFile(path, '{"alice":{"v":4}}');
      assert.deepEqual(await read(), { v: 4 });
      assert.equal(countErrors(), breaks.length);
      assert.doesNotMatch(issuer.log(), /s3cret/);
    });

    it('must be there at the start', async (t) => {
      const missing = join(tmpdir(), 'countersign-claims-that-are-not-there.json');
      await assert.rejects(
        startWith(t, { file: missing }),
        (error) => error instanceof SettingsError && /ENOENT/.test(error.message),
      );
      for (const content of ['', '[]', '{"alice":', '{"alice":7}', '{"alice":null}', '{"alice":["a"]}']) {
        await assert.rejects(startWith(t, { file: await createFile(t, content) }), SettingsError, content);
      }
    });

    it('have a limit of 8 KB', async (t) => {
      const fill = (bytes: number) => ({ x: 'x'.repeat(bytes - JSON.stringify({ x: '' }).length) });
      const path = await createFile(
        t,
        JSON.stringify({ fits: fill(8_192), over: fill(8_193), wide: { x: 'é'.repeat(4_100) } }),
      );
      const issuer = await startWith(t, { file: path });
      assert.deepEqual((await open(issuer, await issuer.ask({ identity: 'fits' })))['privateClaims'], fill(8_192));
      for (const identity of ['over', 'wide']) {
        assertRefused(await issuer.ask({ identity }), 500, /^the user's private claims are larger than 8192 bytes$/);
      }
      assert.match(issuer.log(), /"level":50,[^\n]*"failure":"claims_too_large"/);
    });
  });

  describe('from a URL', () => {
    it('are asked for with the identity and the bearer', async (t) => {
      const { issuer, upstream } = await startWithUrl(t, answerJson({ plan: 'gold', nested: { a: [1, null] } }));
      const claims = await open(
        issuer,
        await issuer.ask({ identity: 'Zoë "z"' }, { cookie: 'a=b', authorization: 'Bearer x' }),
      );
      assert.deepEqual(claims['privateClaims'], { plan: 'gold', nested: { a: [1, null] } });
      const [seen] = upstream.seen;
      assert.equal(`${seen?.method} ${seen?.url}`, 'POST /claims');
      assert.equal(seen?.headers['content-type'], 'application/json');
      assert.equal(seen?.headers.authorization, `Bearer ${URL_TOKEN}`);
      assert.equal(seen?.headers.cookie, undefined);
      assert.deepEqual(JSON.parse(seen?.body ?? ''), { identity: 'Zoë "z"' });
      assert.ok(!issuer.log().includes(URL_TOKEN) && !issuer.log().includes('gold'));
    });

    it('are not asked for when the user is anonymous', async (t) => {
      const { issuer, upstream } = await startWithUrl(t, answerJson({ plan: 'gold' }));
      assert.ok(!('privateClaims' in (await open(issuer, await issuer.ask({ isAnonymous: true })))));
      assert.equal(upstream.seen.length, 0);
    });

    const none: Readonly<Record<string, Answering>> = {
      '404': answerJson({ plan: 'gold' }, 404),
      '204': (res) => void res.writeHead(204).end(),
    };
    for (const [name, answer] of Object.entries(none)) {
      it(`are none after ${name}`, async (t) => {
        const { issuer } = await startWithUrl(t, answer);
        assert.ok(!('privateClaims' in (await open(issuer, await issuer.ask({ identity: 'alice' })))));
      });
    }

    const broken: Readonly<Record<string, Answering>> = {
      '500': answerJson({ plan: 'gold' }, 500),
      '401': answerJson({ plan: 'gold' }, 401),
      '201': answerJson({ plan: 'gold' }, 201),
      'a redirect': (res) => void res.writeHead(307, { location: '/other' }).end(),
      'a list': answerJson(['gold']),
      null: answerJson(null),
      'a page': (res) => void res.end('<html>'),
      'a duplicate member': (res) => void res.end('{"plan":"a","plan":"b"}'),
      'a broken connection': (res) => void res.destroy(),
    };
    for (const [name, answer] of Object.entries(broken)) {
      it(`fail after ${name}: no token without them`, async (t) => {
        const { issuer, upstream } = await startWithUrl(t, answer);
        assertRefused(await issuer.ask({ identity: 'alice' }), 503, /does not answer; try again$/);
        assert.equal(upstream.seen.length, 1);
      });
    }

    it('fail when they do not come in time', async (t) => {
      const { issuer } = await startWithUrl(t, () => undefined, 100);
      assertRefused(await issuer.ask({ identity: 'alice' }), 503, /does not answer/);
      assert.match(issuer.log(), /no answer within 100 ms/);
    });

    it('fail when they trickle', async (t) => {
      const trickle: Answering = (res) => {
        const timer = setInterval(() => res.write(' '), 20);
        res.once('close', () => clearInterval(timer));
      };
      const { issuer } = await startWithUrl(t, trickle, 150);
      assertRefused(await issuer.ask({ identity: 'alice' }), 503, /does not answer/);
    });

    it('have a limit of 8 KB', async (t) => {
      const { issuer } = await startWithUrl(t, (res, { body }) => {
        const { identity } = JSON.parse(body) as { identity: string };
        res.end(JSON.stringify({ x: 'x'.repeat(Number(identity) - 8) }));
      });
      assert.equal((await issuer.ask({ identity: '8192' })).status, 200);
      for (const identity of ['8193', '5000000']) {
        assertRefused(await issuer.ask({ identity }), 500, /larger than 8192 bytes$/);
      }
    });
  });
});
