import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';

import type { FoundAddress, Lookup } from '../../../../src/http/outbound/destination.ts';
import { createGetText } from '../../../../src/http/outbound/get-text.ts';
import { createReachableHosts } from '../../../../src/http/outbound/reachable-hosts.ts';
import { type CertificateAuthority, createCertificateAuthority } from '../../../support/certificate-authority.ts';
import { type KeyServer, startKeyServer } from '../../../support/key-server.ts';

const HOST = 'keys.internal.test';
const LIMITS = { maxBytes: 1_000, timeoutMs: 5_000 };
const LOOPBACK = { address: '127.0.0.1', family: 4 };

describe('a document by https', () => {
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

  const get = (lookup: Lookup, names: readonly string[] = [HOST], host = HOST, limits = LIMITS): Promise<string> =>
    createGetText({ lookup, mayReach: createReachableHosts(names), ca: ca.cert })(
      `https://${host}:${server.port}/jwks.json?a=b`,
      limits,
    );
  const toLoopback: Lookup = () => Promise.resolve([LOOPBACK]);

  it('comes whole', async () => {
    server.answer((res) => res.end('{"ä":1}'));
    assert.equal(await get(toLoopback), '{"ä":1}');
    const request = server.requests.at(-1);
    assert.deepEqual([request?.method, request?.url], ['GET', '/jwks.json?a=b']);
    assert.equal(request?.headers.host, `${HOST}:${server.port}`);
    assert.equal(request?.headers.authorization, undefined);
  });

  const ANSWERS: Readonly<Record<string, readonly [(res: ServerResponse) => void, RegExp]>> = {
    'a redirect': [(res) => res.writeHead(302, { location: '/elsewhere' }).end(), /the answer is 302/],
    'a permanent redirect': [(res) => res.writeHead(308, { location: `https://${HOST}/` }).end(), /the answer is 308/],
    'an error': [(res) => res.writeHead(500).end('{"keys":[]}'), /the answer is 500/],
    'no content': [(res) => res.writeHead(204).end(), /the answer is 204/],
    'too much, announced': [(res) => res.end('x'.repeat(1_001)), /larger than 1000 bytes/],
    'too much, in parts': [
      (res) => {
        const more = (): void => {
          if (!res.destroyed) res.write('x'.repeat(500), () => setImmediate(more));
        };
        more();
      },
      /larger than 1000 bytes/,
    ],
    'a small one that unpacks to much': [
      (res) => res.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('x'.repeat(1_000_000))),
      /compressed/,
    ],
    'half of it': [
      (res) => {
        res.writeHead(200, { 'content-length': '100' });
        res.write('half', () => res.destroy());
      },
      /aborted|hang up|ECONNRESET/,
    ],
    'no UTF-8': [(res) => res.end(Buffer.from([0xff, 0xfe])), /not valid/],
    'a head without end': [(res) => res.writeHead(200, { 'x-a': 'x'.repeat(20_000) }).end(), /overflow/i],
  };
  for (const [name, [answer, message]] of Object.entries(ANSWERS)) {
    it(`is refused: ${name}`, async () => {
      server.answer(answer);
      const before = server.requests.length;
      await assert.rejects(get(toLoopback), message);
      assert.equal(server.requests.length, before + 1, 'one request');
    });
  }

  const SILENT: Readonly<Record<string, (res: ServerResponse) => void>> = {
    'no answer': () => undefined,
    'a head and no body': (res) => res.writeHead(200).flushHeaders(),
    'a drop now and then': (res) => {
      res.writeHead(200);
      const drop = setInterval(() => (res.destroyed ? clearInterval(drop) : res.write(' ')), 10);
    },
  };
  for (const [name, answer] of Object.entries(SILENT)) {
    it(`is given up in time: ${name}`, async () => {
      server.answer(answer);
      const slow = get(toLoopback, [HOST], HOST, { ...LIMITS, timeoutMs: 200 });
      await assert.rejects(slow, /no whole answer within 200 ms/);
    });
  }

  it('is given up in time where the name is not looked up', async () => {
    const slow = get(() => new Promise(() => undefined), [HOST], HOST, { ...LIMITS, timeoutMs: 50 });
    await assert.rejects(slow, /no whole answer within 50 ms/);
  });

  it('comes from the very address that was checked', async () => {
    server.answer((res) => res.end('{}'));
    let lookups = 0;
    const rebinding: Lookup = () => {
      lookups++;
      return Promise.resolve([lookups === 1 ? LOOPBACK : { address: '127.0.0.9', family: 4 }]);
    };
    assert.equal(await get(rebinding), '{}');
    assert.equal(lookups, 1);
  });

  const ADDRESSES: Readonly<Record<string, readonly [readonly FoundAddress[], readonly string[]]>> = {
    loopback: [[LOOPBACK], []],
    'loopback of IPv6': [[{ address: '::1', family: 6 }], []],
    'loopback, mapped': [[{ address: '::ffff:127.0.0.1', family: 6 }], []],
    'a private address': [[{ address: '10.1.2.3', family: 4 }], []],
    'a link-local address': [[{ address: '169.254.1.1', family: 4 }], []],
    'a link-local address of IPv6': [[{ address: 'fe80::1', family: 6 }], []],
    'a unique local address': [[{ address: 'fd00::1', family: 6 }], []],
    'an address behind NAT64': [[{ address: '64:ff9b::7f00:1', family: 6 }], []],
    'a public address and a private one': [[{ address: '93.184.216.34', family: 4 }, LOOPBACK], []],
    'metadata, even for a listed name': [[{ address: '169.254.169.254', family: 4 }], [HOST]],
    'metadata of IPv6, even for a listed name': [[{ address: 'fd00:ec2::254', family: 6 }], [HOST]],
    'what another listed name may reach': [[LOOPBACK], ['other.internal.test', `a.${HOST}`]],
  };
  for (const [name, [found, names]] of Object.entries(ADDRESSES)) {
    it(`is not asked for at ${name}`, async () => {
      const before = server.requests.length;
      await assert.rejects(
        get(() => Promise.resolve(found), names),
        { name: 'DestinationError', reason: 'forbidden' },
      );
      assert.equal(server.requests.length, before);
    });
  }

  it('is not asked for where the name has no address, or is one', async () => {
    await assert.rejects(
      get(() => Promise.resolve([])),
      { reason: 'unresolved' },
    );
    await assert.rejects(
      get(() => Promise.reject(new Error('ENOTFOUND'))),
      { reason: 'unresolved' },
    );
    await assert.rejects(get(toLoopback, [], '127.0.0.1'), { reason: 'forbidden' });
    await assert.rejects(get(toLoopback, [], '[::1]'), { reason: 'forbidden' });
  });

  it('is not taken from a server that cannot prove its name', async () => {
    const before = server.requests.length;
    await assert.rejects(get(toLoopback, ['other.test'], 'other.test'), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
    const withoutCa = createGetText({ lookup: toLoopback, mayReach: createReachableHosts([HOST]) });
    await assert.rejects(withoutCa(`https://${HOST}:${server.port}/`, LIMITS), { code: /UNABLE_TO_|SELF_SIGNED/ });
    assert.equal(server.requests.length, before);
  });

  it('is asked for by https alone', async () => {
    const getText = createGetText({ lookup: toLoopback, mayReach: createReachableHosts([HOST]), ca: ca.cert });
    await assert.rejects(getText(`http://${HOST}:${server.port}/`, LIMITS), /not https/);
  });
});

describe('a list of hosts', () => {
  it('holds names and addresses, nothing else', () => {
    createReachableHosts(['keys.internal', 'KEYS.internal', '10.0.0.5', '::1', 'localhost']);
    for (const wrong of [
      'https://a.test',
      'a.test:8443',
      '*.a.test',
      'a.test/x',
      'a@b.test',
      '',
      '0x7f.1',
      'a.test.',
    ]) {
      assert.throws(() => createReachableHosts(['good.test', wrong]), { name: 'HostListError' }, wrong);
    }
  });
});
