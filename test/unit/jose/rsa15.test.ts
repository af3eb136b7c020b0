import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { constants, generateKeyPairSync, type KeyObject, publicEncrypt, randomBytes, randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { after, before, describe, it } from 'node:test';

import { JWE_ENCRYPTIONS } from '../../../src/jose/algorithms.ts';
import { CONTENT_ENCRYPTIONS } from '../../../src/jose/content-encryption.ts';
import { createJweDecrypter, type JweDecrypter } from '../../../src/jose/jwe.ts';
import { unwrapRsa15, wrapRsa15 } from '../../../src/jose/rsa15.ts';

/** Lengths of the content keys that there are, in bytes. */
const KEY_BYTES = [16, 32];

/** Bytes that are not zero. */
const createPadding = (length: number): Buffer => Buffer.from(randomBytes(length).map((byte) => byte || 1));

const toBigInt = (bytes: Uint8Array): bigint => BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
const toBytes = (value: bigint, length: number): Buffer =>
  Buffer.from(value.toString(16).padStart(length * 2, '0'), 'hex');

describe('RSA1_5', () => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const modulus = Buffer.from(publicKey.export({ format: 'jwk' }).n ?? '', 'base64url');
  const size = modulus.length;

  /** The block that PKCS #1 asks for, around anything. */
  const pad = (content: Uint8Array): Buffer =>
    Buffer.concat([Buffer.from([0, 2]), createPadding(size - content.length - 3), Buffer.from([0]), content]);
  /** Raw RSA: the block becomes what it says, good or not. */
  const encryptBlock = (block: Uint8Array): Buffer =>
    publicEncrypt({ key: publicKey, padding: constants.RSA_NO_PADDING }, block);
  const replace = (block: Buffer, at: number, value: number): Buffer => {
    const changed = Buffer.from(block);
    changed.writeUInt8(value, at);
    return changed;
  };

  /** That `encryptedKey` yields a key of the right length that nobody chose: another one each time, and no part of the block. */
  function assertSubstituted(encryptedKey: Uint8Array, keyBytes: number, block: Uint8Array, name: string): void {
    const [first, second] = [0, 1].map(() => Buffer.from(unwrapRsa15(privateKey, encryptedKey, keyBytes)));
    assert.ok(first && second);
    assert.deepEqual([first.length, second.length], [keyBytes, keyBytes], name);
    assert.notDeepEqual(first, second, name);
    for (const key of [first, second]) assert.equal(Buffer.from(block).includes(key), false, name);
  }

  for (const keyBytes of KEY_BYTES) {
    describe(`around ${keyBytes} bytes`, () => {
      it('goes both ways, each time another text', () => {
        const contentKey = randomBytes(keyBytes);
        const [first, second] = [wrapRsa15(publicKey, contentKey), wrapRsa15(publicKey, contentKey)];
        assert.notDeepEqual(first, second);
        for (const one of [first, second, encryptBlock(pad(contentKey))]) {
          assert.equal(one.length, size);
          assert.deepEqual(Buffer.from(unwrapRsa15(privateKey, one, keyBytes)), contentKey);
        }
      });

      it('keeps every byte of the content key, whatever it is', () => {
        for (let value = 0; value < 256; value += 1) {
          const contentKey = Buffer.alloc(keyBytes, value);
          assert.deepEqual(Buffer.from(unwrapRsa15(privateKey, encryptBlock(pad(contentKey)), keyBytes)), contentKey);
        }
      });

      it('a first byte that is not 0', () => {
        // A block is less than the modulus, whose first byte has its highest bit set.
        for (let bit = 0; bit < 7; bit += 1) {
          const block = replace(pad(randomBytes(keyBytes)), 0, 1 << bit);
          assertSubstituted(encryptBlock(block), keyBytes, block, `bit ${bit}`);
        }
      });

      it('a second byte that is not 2', () => {
        for (let value = 0; value < 256; value += 1) {
          if (value === 2) continue;
          const block = replace(pad(randomBytes(keyBytes)), 1, value);
          assertSubstituted(encryptBlock(block), keyBytes, block, `value ${value}`);
        }
      });

      it('a zero at every place of the padding', () => {
        for (let at = 2; at < size - keyBytes - 1; at += 1) {
          const block = replace(pad(randomBytes(keyBytes)), at, 0);
          assertSubstituted(encryptBlock(block), keyBytes, block, `byte ${at}`);
        }
      });

      it('a padding of the smallest and the largest bytes is one', () => {
        for (const value of [1, 127, 128, 255]) {
          const contentKey = randomBytes(keyBytes);
          const block = pad(contentKey).fill(value, 2, size - keyBytes - 1);
          assert.deepEqual(Buffer.from(unwrapRsa15(privateKey, encryptBlock(block), keyBytes)), contentKey);
        }
      });

      it('a delimiter that is not 0', () => {
        for (let value = 1; value < 256; value += 1) {
          const block = replace(pad(randomBytes(keyBytes)), size - keyBytes - 1, value);
          assertSubstituted(encryptBlock(block), keyBytes, block, `value ${value}`);
        }
      });

      it('a content key of every other length', () => {
        for (let length = 0; length <= size - 11; length += 1) {
          if (length === keyBytes) continue;
          const block = pad(createPadding(length));
          assertSubstituted(encryptBlock(block), keyBytes, block, `${length} bytes`);
        }
      });

      it('what is no block at all', () => {
        const value = toBigInt(modulus);
        const good = wrapRsa15(publicKey, randomBytes(keyBytes));
        const none = Buffer.alloc(0);
        const cases: Readonly<Record<string, Uint8Array>> = {
          'a signature block': encryptBlock(
            Buffer.concat([
              Buffer.from([0, 1]),
              Buffer.alloc(size - keyBytes - 3, 255),
              Buffer.from([0]),
              randomBytes(keyBytes),
            ]),
          ),
          'an OAEP block': publicEncrypt(publicKey, randomBytes(keyBytes)),
          zero: Buffer.alloc(size),
          one: toBytes(1n, size),
          'the modulus less one': toBytes(value - 1n, size),
          'the modulus': modulus,
          'the modulus and one': toBytes(value + 1n, size),
          'a good one and the modulus': Buffer.concat([Buffer.from([1]), good]),
          'the largest number': Buffer.alloc(size, 255),
          nothing: none,
          'one byte': Buffer.from([2]),
          'a byte too few': good.subarray(1),
          'the last byte missing': good.subarray(0, -1),
          'a zero in front': Buffer.concat([Buffer.from([0]), good]),
          'a zero at the end': Buffer.concat([good, Buffer.from([0])]),
          twice: Buffer.concat([good, good]),
        };
        for (const [name, encryptedKey] of Object.entries(cases)) assertSubstituted(encryptedKey, keyBytes, none, name);
      });
    });
  }

  it('a good ciphertext whose first byte is 0 is taken with it and refused without', () => {
    const contentKey = randomBytes(32);
    let encryptedKey = wrapRsa15(publicKey, contentKey);
    while (encryptedKey.readUInt8(0) !== 0) encryptedKey = wrapRsa15(publicKey, contentKey);
    assert.deepEqual(Buffer.from(unwrapRsa15(privateKey, encryptedKey, 32)), contentKey);
    assertSubstituted(encryptedKey.subarray(1), 32, Buffer.alloc(0), 'a byte too few');
  });

  it('a modulus whose length is no multiple of eight bits', () => {
    for (const modulusLength of [2050, 2052]) {
      const pair = generateKeyPairSync('rsa', { modulusLength });
      const contentKey = randomBytes(32);
      const encryptedKey = wrapRsa15(pair.publicKey, contentKey);
      assert.equal(encryptedKey.length, 257);
      assert.deepEqual(Buffer.from(unwrapRsa15(pair.privateKey, encryptedKey, 32)), contentKey);
    }
  });

  it('a key of somebody else', () => {
    const pair = generateKeyPairSync('rsa', { modulusLength: 2048 });
    assertSubstituted(wrapRsa15(pair.publicKey, randomBytes(32)), 32, Buffer.alloc(0), 'somebody else');
  });

  it('its code decides nothing by a byte of the block', () => {
    const source = readFileSync('src/jose/rsa15.ts', 'utf8');
    const body = /export function unwrapRsa15[^]*?\n\}\n/.exec(source)?.[0].replaceAll(/\/\/.*/g, '') ?? '';
    assert.match(body, /fault/);
    assert.doesNotMatch(body, /\bif\b|\?|&&|\|\||===|!==|indexOf|includes|equals|\bwhile\b|\bbreak\b|\[/);
  });
});

describe('a nested JWE under RSA1_5', () => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const size = 256;
  const CONTENT = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln';
  let decrypter: JweDecrypter;

  before(async () => {
    decrypter = await createJweDecrypter('k', privateKey.export({ type: 'pkcs8', format: 'pem' }) as string);
  });

  for (const enc of JWE_ENCRYPTIONS) {
    const { keyBytes, seal } = CONTENT_ENCRYPTIONS[enc];
    const header = Buffer.from(JSON.stringify({ alg: 'RSA1_5', enc })).toString('base64url');
    const contentKey = randomBytes(keyBytes);
    const sealed = seal(contentKey, Buffer.from(header), Buffer.from(CONTENT));
    const delimiter = size - keyBytes - 1;
    const block = Buffer.concat([Buffer.from([0, 2]), createPadding(delimiter - 2), Buffer.from([0]), contentKey]);
    const encryptBlock = (at?: number, value = 0): Buffer => {
      const changed = Buffer.from(block);
      if (at !== undefined) changed.writeUInt8(value, at);
      return publicEncrypt({ key: publicKey, padding: constants.RSA_NO_PADDING }, changed);
    };
    const good = { encryptedKey: encryptBlock(), ...sealed };
    const cut = (bytes: Uint8Array, by: number): Uint8Array => bytes.subarray(0, bytes.length - by);
    const longer = (bytes: Uint8Array, by: number): Uint8Array => Buffer.concat([bytes, Buffer.alloc(by)]);
    const flip = (bytes: Uint8Array): Uint8Array => bytes.map((byte, at) => (at === 0 ? byte ^ 1 : byte));
    const serialize = ({ encryptedKey, iv, ciphertext, tag }: typeof good | Record<keyof typeof good, Uint8Array>) =>
      [header, ...[encryptedKey, iv, ciphertext, tag].map((part) => Buffer.from(part).toString('base64url'))].join('.');

    const FAULTS: Readonly<Record<string, Partial<Record<keyof typeof good, Uint8Array>>>> = {
      'a first byte that is not 0': { encryptedKey: encryptBlock(0, 1) },
      'a second byte that is not 2': { encryptedKey: encryptBlock(1, 3) },
      'a zero at the start of the padding': { encryptedKey: encryptBlock(2) },
      'a zero in the padding': { encryptedKey: encryptBlock(100) },
      'a zero at the end of the padding': { encryptedKey: encryptBlock(delimiter - 1) },
      'no delimiter': { encryptedKey: encryptBlock(delimiter, 7) },
      'good padding, another content key': { encryptedKey: wrapRsa15(publicKey, randomBytes(keyBytes)) },
      'good padding, a content key that is too short': { encryptedKey: wrapRsa15(publicKey, contentKey.subarray(1)) },
      'good padding, a content key that is too long': { encryptedKey: wrapRsa15(publicKey, longer(contentKey, 1)) },
      'good padding, no content key': { encryptedKey: wrapRsa15(publicKey, Buffer.alloc(0)) },
      'a content key under OAEP': { encryptedKey: publicEncrypt(publicKey, contentKey) },
      'an encrypted key that is not below the modulus': { encryptedKey: Buffer.alloc(size, 255) },
      'an encrypted key that is too short': { encryptedKey: cut(good.encryptedKey, 1) },
      'an encrypted key that is too long': { encryptedKey: longer(good.encryptedKey, 1) },
      'no encrypted key': { encryptedKey: Buffer.alloc(0) },
      'another initialization vector': { iv: flip(good.iv) },
      'an initialization vector that is too short': { iv: cut(good.iv, 1) },
      'an initialization vector that is too long': { iv: longer(good.iv, 1) },
      'no initialization vector': { iv: Buffer.alloc(0) },
      'another ciphertext': { ciphertext: flip(good.ciphertext) },
      'a ciphertext that is a byte too short': { ciphertext: cut(good.ciphertext, 1) },
      'a ciphertext that is a block too short': { ciphertext: cut(good.ciphertext, 16) },
      'a ciphertext that is a block too long': { ciphertext: longer(good.ciphertext, 16) },
      'no ciphertext': { ciphertext: Buffer.alloc(0) },
      'another tag': { tag: flip(good.tag) },
      'a tag that is too short': { tag: cut(good.tag, 1) },
      'a tag of four bytes': { tag: cut(good.tag, 12) },
      'a tag that is too long': { tag: longer(good.tag, 1) },
      'no tag': { tag: Buffer.alloc(0) },
    };

    it(`every fault is the one failure: ${enc}`, async () => {
      const policy = { algs: ['RSA1_5'], encs: [enc] } as const;
      assert.equal(await decrypter.decrypt(serialize(good), policy), CONTENT);
      for (const [name, fault] of Object.entries(FAULTS)) {
        await assert.rejects(decrypter.decrypt(serialize({ ...good, ...fault }), policy), (error: Error) => {
          const { name: type, message, cause, ...members } = error;
          const seen = { type, message, cause, ...members };
          const expected = {
            type: 'JWEDecryptionFailed',
            message: 'decryption operation failed',
            cause: undefined,
            code: 'ERR_JWE_DECRYPTION_FAILED',
          };
          assert.deepEqual(seen, expected, name);
          return true;
        });
      }
    });
  }
});

describe('RSA1_5 and OpenSSL', () => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'countersign-rsa15-'));
    await writeFile(join(folder, 'private.pem'), privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
    await writeFile(join(folder, 'public.pem'), publicKey.export({ type: 'spki', format: 'pem' }));
  });
  after(() => rm(folder, { recursive: true }));

  const openssl = (act: string, key: string, input: Uint8Array): Buffer =>
    execFileSync('openssl', ['pkeyutl', act, ...key.split(' '), '-pkeyopt', 'rsa_padding_mode:pkcs1'], {
      cwd: folder,
      input,
    });

  it('understand each other', () => {
    for (const keyBytes of KEY_BYTES) {
      const contentKey = randomBytes(keyBytes);
      assert.deepEqual(openssl('-decrypt', '-inkey private.pem', wrapRsa15(publicKey, contentKey)), contentKey);
      const theirs = openssl('-encrypt', '-pubin -inkey public.pem', contentKey);
      assert.deepEqual(Buffer.from(unwrapRsa15(privateKey, theirs, keyBytes)), contentKey);
    }
  });
});

describe('the time that RSA1_5 takes', () => {
  const ROUNDS = 600;
  /** Ciphertexts of each kind, so that none is judged by its one number. */
  const SAMPLES = 20;
  type Act = (round: number) => unknown;

  /** Microseconds. Each round has an order of its own: what comes behind another pays for its garbage. */
  async function measure(acts: Readonly<Record<string, Act>>): Promise<string> {
    const taken = Object.entries(acts).map(([name, act]) => ({ name, act, times: [] as number[] }));
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const { act, times } of toShuffled(taken)) {
        const start = performance.now();
        await act(round);
        times.push((performance.now() - start) * 1000);
      }
    }
    return taken
      .map(({ name, times }) => {
        const [low, median] = [0.1, 0.5].map((share) => times.toSorted((a, b) => a - b)[ROUNDS * share]?.toFixed(1));
        return `${name} ${low} and ${median}`;
      })
      .join(', ');
  }

  it('is written down for good and for bad padding, and judged by nobody', async (t) => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const decrypter = await createJweDecrypter('k', privateKey.export({ type: 'pkcs8', format: 'pem' }) as string);
    const header = Buffer.from('{"alg":"RSA1_5","enc":"A128CBC-HS256"}').toString('base64url');
    const rest = [16, 256, 16].map((length) => randomBytes(length).toString('base64url')).join('.');
    const unwrapping: Record<string, Act> = {};
    const decrypting: Record<string, Act> = {};
    for (const [name, spoil] of Object.entries(KINDS)) {
      const keys = Array.from({ length: SAMPLES }, () => encryptSpoilt(publicKey, spoil));
      const tokens = keys.map((key) => `${header}.${key.toString('base64url')}.${rest}`);
      const at = <T>(list: readonly T[], round: number): T => list[round % SAMPLES] ?? assert.fail();
      unwrapping[name] = (round) => unwrapRsa15(privateKey, at(keys, round), 32);
      decrypting[name] = (round) => assert.rejects(decrypter.decrypt(at(tokens, round), POLICY));
    }
    const what = `10th percentile and median of ${ROUNDS}, in µs`;
    t.diagnostic(`unwrapRsa15, ${what}: ${await measure(unwrapping)}`);
    t.diagnostic(`decrypt with a tag that is off, ${what}: ${await measure(decrypting)}`);
  });

  const POLICY = { algs: ['RSA1_5'], encs: ['A128CBC-HS256'] } as const;
  /** A byte of a good block, and what it becomes. */
  const KINDS: Readonly<Record<string, readonly [at: number, value: number] | undefined>> = {
    'good padding': undefined,
    'wrong first byte': [0, 1],
    'wrong second byte': [1, 1],
    'early zero': [2, 0],
    'late zero': [222, 0],
    'no delimiter': [223, 9],
  };

  function encryptSpoilt(key: KeyObject, spoil: readonly [at: number, value: number] | undefined): Buffer {
    const block = Buffer.concat([Buffer.from([0, 2]), createPadding(221), Buffer.from([0]), randomBytes(32)]);
    if (spoil) block.writeUInt8(spoil[1], spoil[0]);
    return publicEncrypt({ key, padding: constants.RSA_NO_PADDING }, block);
  }

  function toShuffled<T>(list: readonly T[]): T[] {
    const rest = [...list];
    return list.flatMap(() => rest.splice(randomInt(rest.length), 1));
  }
});
