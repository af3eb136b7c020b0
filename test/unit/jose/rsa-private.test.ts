import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { constants, createPrivateKey, createPublicKey, publicEncrypt, randomBytes } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

import { CompactSign, importPKCS8 } from 'jose';

import { createRsaPrivateKeyPem } from '../../../src/jose/jwk.ts';
import { AT_ONCE, POOLED } from '../../../src/jose/rsa-private.ts';

const MODULE = fileURLToPath(new URL('../../../src/jose/rsa-private.js', import.meta.url));
const OAEP = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha1' };

describe("RSA's private key", () => {
  let pem: string;
  before(async () => {
    pem = await createRsaPrivateKeyPem();
  });

  for (const [name, operations] of Object.entries({ POOLED, AT_ONCE })) {
    for (const [alg, hash] of Object.entries({ RS256: 'sha256', RS512: 'sha512' })) {
      it(`signs the very bytes that jose signs: ${alg}, ${name}`, async () => {
        const key = await importPKCS8(pem, alg);
        for (const text of ['', '{}', 'a'.repeat(10_000)]) {
          const [header, payload, signature] = (
            await new CompactSign(Buffer.from(text)).setProtectedHeader({ alg }).sign(key)
          ).split('.');
          const ours = await operations.sign(hash, Buffer.from(`${header}.${payload}`), createPrivateKey(pem));
          assert.equal(ours.toString('base64url'), signature);
        }
      });
    }

    it(`decrypts what was encrypted, of any length, and nothing that is one bit off: ${name}`, async () => {
      const decrypt = await operations.createOaepDecrypt(createPrivateKey(pem));
      for (const length of [0, 16, 32, 64, 214]) {
        const secret = randomBytes(length);
        const encrypted = publicEncrypt({ key: createPublicKey(pem), ...OAEP }, secret);
        assert.deepEqual(Buffer.from(await decrypt(encrypted)), secret);
        for (const at of [0, 1, 100, 255]) {
          const changed = Buffer.from(encrypted);
          changed[at] = (changed[at] ?? 0) ^ 1;
          await assert.rejects(decrypt(changed));
        }
      }
    });
  }

  it('is used at once with one core, in the pool with several', () => {
    const show = `import(${JSON.stringify(MODULE)}).then((all) => console.log(all.RSA_PRIVATE === all.AT_ONCE, all.RSA_PRIVATE === all.POOLED))`;
    const run = (cores: string): string =>
      execFileSync('taskset', ['-c', cores, process.execPath, '-e', show], { encoding: 'utf8' }).trim();
    assert.equal(run('0'), 'true false');
    if (availableParallelism() > 1) assert.equal(run('0,1'), 'false true');
  });
});
