import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import type { Credentials } from '../../../../src/connector/config/agent-config.ts';
import { isKeyOf } from '../../../../src/connector/config/named-files.ts';
import { createKeyAndRequest } from '../../../../src/connector/renewal/certificate-request.ts';
import { startRenewal } from '../../../../src/connector/renewal/renew.ts';
import {
  finishReplacement,
  replaceCredentials,
  writeNextKey,
} from '../../../../src/connector/renewal/replace-credentials.ts';
import type { ServiceReply, ServiceRequest } from '../../../../src/connector/service-call.ts';
import { createHeardLog } from '../webhooks/spool-under-test.ts';
import { type CredentialsUnderTest, startCredentials } from './credentials-under-test.ts';

const DAY = 86_400;
/** A renewal of 90 days is due with 30 left. */
const DUE = 61 * DAY;

type Answer = (
  csr: string,
  sign: (csr: string) => Promise<string>,
) => Promise<ServiceReply | undefined> | ServiceReply | undefined;

const toReply = (body: string): ServiceReply => ({ status: 200, fields: [], body });

/** A renewal that is checked when the test says so, against the real registry unless `answer` is given. */
async function start(t: TestContext, answer: Answer = async (csr, sign) => toReply(await sign(csr))) {
  const under: CredentialsUnderTest = await startCredentials(t);
  const { registries, connectorId } = under;
  const { log, said } = createHeardLog();
  const audits: Readonly<Record<string, unknown>>[] = [];
  let credentials: Credentials = await under.read();
  let asked = 0;
  let replaced = 0;
  const sign = async (csr: string): Promise<string> => {
    const serial = new X509Certificate(credentials.cert).serialNumber;
    return (await registries.connectors.renewCertificate(connectorId, serial, csr)).certificate;
  };
  const renewal = startRenewal({
    config: () => ({ credentials }),
    ask: async ({ service, body }: ServiceRequest) => {
      assert.equal(service, 'renewal');
      asked++;
      return answer(Buffer.from(body).toString(), sign);
    },
    clock: registries.clock,
    random: () => 0,
    log,
    audit: (fields) => void audits.push(fields),
    onReplaced: () => replaced++,
    firstCheckMs: 3_600_000,
  });
  t.after(() => renewal.stop());
  return {
    ...under,
    renewal,
    said,
    audits,
    asked: () => asked,
    replaced: () => replaced,
    later: (seconds: number) => registries.clock.set(registries.clock.nowSeconds() + seconds),
    reload: async () => (credentials = await under.read()),
    before: credentials,
  };
}

const listFolder = async ({ paths }: CredentialsUnderTest): Promise<string[]> =>
  (await readdir(dirname(paths.key))).sort();

describe('the renewal of a certificate', () => {
  it('comes when a third of its life is left, with a new key, and the old certificate stays valid', async (t) => {
    const under = await start(t);
    const { renewal, later, asked, paths, registries, connectorId, before } = under;
    await renewal.check();
    later(DUE - 2 * DAY);
    await renewal.check();
    assert.equal(asked(), 0);
    later(2 * DAY);
    await renewal.check();
    assert.equal(asked(), 1);

    const now = await under.reload();
    assert.ok(isKeyOf(now.key, now.cert));
    assert.notEqual(now.key.reveal(), before.key.reveal());
    assert.equal(now.connectorId, connectorId);
    assert.ok(now.expiresAt > before.expiresAt);
    assert.equal((await stat(paths.key)).mode & 0o777, 0o600);
    assert.equal((await stat(paths.cert)).mode & 0o777, 0o644);
    assert.deepEqual(await listFolder(under), ['a.key', 'a.pem']);
    assert.deepEqual([under.replaced(), under.audits.length, under.audits[0]?.['act']], [1, 1, 'renewed']);
    const { certificates } = await registries.connectors.get(connectorId);
    assert.deepEqual(certificates.map(({ revokedAt }) => revokedAt), [undefined, undefined]); // prettier-ignore
    // The next one is due at a third of its own life.
    await renewal.check();
    assert.equal(asked(), 1);
    later(31 * DAY);
    await renewal.check();
    assert.equal(asked(), 2);
  });

  it('does not come again before the new files are in force', async (t) => {
    const { renewal, later, asked, reload } = await start(t);
    later(DUE);
    await renewal.check();
    await renewal.check();
    assert.equal(asked(), 1);
    await reload();
    await renewal.check();
    assert.equal(asked(), 1);
  });

  it('of several servers with one certificate is one for each', async (t) => {
    const { registries, connectorId, before } = await start(t);
    const serial = new X509Certificate(before.cert).serialNumber;
    registries.clock.set(registries.clock.nowSeconds() + DUE);
    const requests = await Promise.all([1, 2, 3, 4].map(() => createKeyAndRequest(before.key.reveal(), connectorId)));
    const signed = await Promise.all(
      requests.map(({ csr }) => registries.connectors.renewCertificate(connectorId, serial, csr)),
    );
    assert.equal(new Set(signed.map((one) => one.serial)).size, 4);
    const { certificates } = await registries.connectors.get(connectorId);
    assert.deepEqual(certificates.map(({ revokedAt }) => revokedAt), Array.from({ length: 5 }, () => undefined)); // prettier-ignore
  });

  const failures: Record<string, [answer: Answer, said: RegExp]> = {
    'no gateway': [() => undefined, /error .*could not be renewed/],
    'a gateway that refuses': [
      () => ({ status: 401, fields: [], body: '', connectorError: 'credential_invalid' }),
      /error/,
    ],
    'an answer that is no certificate': [() => toReply('hello'), /error/],
    'a stream that was cut': [() => Promise.reject(new Error('lost')), /error/],
    'a certificate of another key': [
      async (_, sign) => toReply(await sign((await createKeyAndRequest(await toKey(), 'x')).csr)),
      /error/,
    ],
  };
  for (const [what, [answer, said]] of Object.entries(failures)) {
    it(`leaves everything as it was after ${what}, and comes again`, async (t) => {
      const under = await start(t, answer);
      under.later(DUE);
      await under.renewal.check();
      await under.renewal.check();
      assert.equal(under.asked(), 2);
      assert.match(under.said[0] ?? '', said);
      assert.deepEqual(await listFolder(under), ['a.key', 'a.pem']);
      const { key, cert } = await under.read();
      assert.deepEqual([key.reveal(), cert], [under.before.key.reveal(), under.before.cert]);
      assert.equal(under.replaced(), 0);
    });
  }

  const wrong: Record<
    string,
    { isOtherConnector?: boolean; isOtherAuthority?: boolean; lifetimeDays?: number; said: RegExp }
  > = {
    nothing: { said: /^info .* is renewed/ },
    'another connector': { isOtherConnector: true, said: /^error/ },
    'another authority': { isOtherAuthority: true, said: /^error/ },
    'an end before the one in use': { lifetimeDays: 20, said: /^error/ },
  };
  for (const [what, { isOtherConnector = false, isOtherAuthority = false, lifetimeDays, said }] of Object.entries(
    wrong,
  )) {
    it(`looks at what came back: ${what} is wrong`, async (t) => {
      const other = await startCredentials(t);
      const under = await start(t, async (csr) => {
        const { authority } = isOtherAuthority ? other.registries : under.registries;
        other.registries.clock.set(under.registries.clock.nowSeconds());
        const connectorId = isOtherConnector ? other.connectorId : under.connectorId;
        const whose = { connectorId, company: 'default', ...(lifetimeDays !== undefined && { lifetimeDays }) };
        return toReply((await (await authority()).sign(csr, whose)).certificate);
      });
      under.later(DUE);
      await under.renewal.check();
      assert.match(under.said[0] ?? '', said);
      assert.equal((await under.read()).cert === under.before.cert, what !== 'nothing');
    });
  }

  it('asks for nothing where it may not write, and says what to do', async (t) => {
    const under = await start(t);
    // Whoever runs the tests may write everywhere but here.
    await rm(under.paths.key);
    await symlink('/sys/kernel/notes', under.paths.key);
    under.later(DUE);
    await under.renewal.check();
    assert.deepEqual([under.asked(), under.said.length], [0, 1]);
    assert.match(under.said[0] ?? '', /^warn the certificate cannot be renewed: the agent may not write beside/);
  });

  it('follows links to the files themselves', async (t) => {
    const under = await start(t);
    for (const path of [under.paths.key, under.paths.cert]) {
      await rename(path, `${path}.real`);
      await symlink(`${path}.real`, path);
    }
    under.later(DUE);
    await under.renewal.check();
    assert.notEqual(await readFile(`${under.paths.key}.real`, 'utf8'), under.before.key.reveal());
    const now = await under.read();
    assert.ok(isKeyOf(now.key, now.cert));
  });

  it('tells of an end that comes near once for each step, ever louder', async (t) => {
    const { renewal, later, said } = await start(t, () => undefined);
    for (const days of [75, 1, 1, 5, 0, 4, 1, 2]) {
      later(days * DAY);
      await renewal.check();
    }
    const told = said.filter((line) => line.includes('ends soon')).map((line) => line.split(' ')[0]);
    assert.deepEqual(told, ['warn', 'error', 'critical', 'critical']);
  });
});

const toKey = async (): Promise<string> => {
  const { generateKeyPairSync } = await import('node:crypto');
  return generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(); // prettier-ignore
};

describe('key and certificate in place of the former ones', () => {
  const read = (path: string): Promise<string | undefined> => readFile(path, 'utf8').catch(() => undefined);

  /** A renewal up to its last step, which the test cuts off. */
  async function prepare(t: TestContext) {
    const under = await startCredentials(t);
    const before = await under.read();
    const { key, csr } = await createKeyAndRequest(before.key.reveal(), under.connectorId);
    const { certificate } = await under.registries.connectors.addCertificate(under.connectorId, csr);
    return { ...under, before, key, certificate };
  }

  const cuts: Record<
    string,
    [step: (under: Awaited<ReturnType<typeof prepare>>) => Promise<void>, isFinished: boolean]
  > = {
    'before anything': [async () => undefined, false],
    'behind the new key': [({ paths, key }) => writeNextKey(paths, key), false],
    'behind the new certificate': [
      async ({ paths, key, certificate }) => {
        await writeNextKey(paths, key);
        await writeFile(`${paths.cert}.next`, certificate);
      },
      false,
    ],
    'between the two': [
      async ({ paths, key, certificate }) => {
        await writeNextKey(paths, key);
        await writeFile(`${paths.cert}.next`, certificate);
        await rename(`${paths.key}.next`, paths.key);
      },
      true,
    ],
    'in the middle of the new certificate': [
      async ({ paths, key, certificate }) => {
        await writeNextKey(paths, key);
        await writeFile(`${paths.cert}.next`, certificate.slice(0, 100));
      },
      false,
    ],
  };
  for (const [what, [step, isFinished]] of Object.entries(cuts)) {
    it(`fit each other after an end ${what}`, async (t) => {
      const under = await prepare(t);
      await step(under);
      assert.equal(await finishReplacement(under.paths), isFinished);
      const { key, cert } = await under.read();
      assert.ok(isKeyOf(key, cert));
      assert.equal(cert, isFinished ? under.certificate : under.before.cert);
      assert.deepEqual((await readdir(dirname(under.paths.key))).sort(), ['a.key', 'a.pem']);
    });
  }

  it('are left where what lies beside them is damaged', async (t) => {
    const { paths, key, certificate, before } = await prepare(t);
    await writeFile(paths.key, key);
    await writeFile(`${paths.cert}.next`, certificate.slice(0, 100));
    assert.equal(await finishReplacement(paths), false);
    assert.equal(await read(paths.cert), before.cert);
  });

  it('replace both', async (t) => {
    const { paths, key, certificate } = await prepare(t);
    await writeNextKey(paths, key);
    await replaceCredentials(paths, certificate);
    assert.deepEqual([await read(paths.key), await read(paths.cert)], [key, certificate]);
    assert.deepEqual(await read(join(dirname(paths.key), 'a.key.next')), undefined);
  });
});
