import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';
import { CompactEncrypt, compactDecrypt } from 'jose';

import { JWE_ENCRYPTIONS } from '../../../src/jose/algorithms.ts';
import { CONTENT_ENCRYPTIONS, type SealedContent } from '../../../src/jose/content-encryption.ts';

const anyContent = fc.uint8Array({ maxLength: 300 });

/** A JWE without a key of its own, which jose makes and reads (RFC 7518 §4.5). */
const toDirect = (header: string, { iv, ciphertext, tag }: SealedContent): string =>
  [header, '', ...[iv, ciphertext, tag].map((part) => Buffer.from(part).toString('base64url'))].join('.');

describe('content encryption', () => {
  for (const enc of JWE_ENCRYPTIONS) {
    const { keyBytes, seal, open } = CONTENT_ENCRYPTIONS[enc];
    const header = Buffer.from(JSON.stringify({ alg: 'dir', enc })).toString('base64url');
    const additional = Buffer.from(header);
    const readDirect = (key: Uint8Array, sealed: SealedContent): Promise<Buffer | undefined> =>
      compactDecrypt(toDirect(header, sealed), key).then(
        ({ plaintext }) => Buffer.from(plaintext),
        () => undefined,
      );

    it(`is understood by jose: ${enc}`, async () => {
      await fc.assert(
        fc.asyncProperty(anyContent, async (content) => {
          const key = randomBytes(keyBytes);
          assert.deepEqual(await readDirect(key, seal(key, additional, content)), Buffer.from(content));
        }),
        { numRuns: 100 },
      );
    });

    it(`understands jose: ${enc}`, async () => {
      await fc.assert(
        fc.asyncProperty(anyContent, async (content) => {
          const key = randomBytes(keyBytes);
          const theirs = await new CompactEncrypt(content).setProtectedHeader({ alg: 'dir', enc }).encrypt(key);
          const [encodedHeader = '', , ...rest] = theirs.split('.');
          const [iv, ciphertext, tag] = rest.map((part) => Buffer.from(part, 'base64url'));
          assert.ok(iv && ciphertext && tag);
          assert.deepEqual(open(key, Buffer.from(encodedHeader), { iv, ciphertext, tag }), Buffer.from(content));
        }),
        { numRuns: 100 },
      );
    });

    it(`opens what jose opens, and nothing else, when something changed: ${enc}`, async () => {
      const anyPart = fc.constantFrom('iv', 'ciphertext', 'tag', 'key', 'none');
      const anyChange = fc.constantFrom('flip', 'cut', 'extend', 'zero', 'empty');
      const seen = { opened: 0, refused: 0 };
      await fc.assert(
        fc.asyncProperty(anyContent, anyPart, anyChange, fc.nat(), async (content, part, change, at) => {
          const key = randomBytes(keyBytes);
          const parts: Record<string, Uint8Array> = { ...seal(key, additional, content), key, none: Buffer.alloc(1) };
          parts[part] = CHANGES[change]?.(parts[part] ?? Buffer.alloc(0), at) ?? assert.fail();
          const { iv, ciphertext, tag, key: changedKey } = parts;
          assert.ok(iv && ciphertext && tag && changedKey);
          const ours = open(changedKey, additional, { iv, ciphertext, tag });
          assert.deepEqual(ours, await readDirect(changedKey, { iv, ciphertext, tag }));
          seen[ours === undefined ? 'refused' : 'opened'] += 1;
        }),
        { numRuns: 400 },
      );
      assert.ok(seen.opened > 0 && seen.refused > 0, JSON.stringify(seen));
    });

    it(`is bound to the header: ${enc}`, () => {
      const key = randomBytes(keyBytes);
      const sealed = seal(key, additional, Buffer.from('x'));
      assert.deepEqual(open(key, additional, sealed), Buffer.from('x'));
      for (const other of ['', `${header}A`, header.slice(1), header.slice(0, -1)]) {
        assert.equal(open(key, Buffer.from(other), sealed), undefined);
      }
    });

    it(`takes each initialization vector once: ${enc}`, () => {
      const key = randomBytes(keyBytes);
      const vectors = Array.from({ length: 1_000 }, () => Buffer.from(seal(key, additional, key).iv).toString('hex'));
      assert.equal(new Set(vectors).size, vectors.length);
    });
  }
});

const CHANGES: Readonly<Record<string, (bytes: Uint8Array, at: number) => Uint8Array>> = {
  flip: (bytes, at) => bytes.map((byte, index) => (index === at % bytes.length ? byte ^ (1 << (at % 8)) : byte)),
  cut: (bytes, at) => bytes.subarray(0, bytes.length - 1 - (at % 16)),
  extend: (bytes, at) => Buffer.concat([bytes, randomBytes(1 + (at % 16))]),
  zero: (bytes) => new Uint8Array(bytes.length),
  empty: () => new Uint8Array(0),
};
