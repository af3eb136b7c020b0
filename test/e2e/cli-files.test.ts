import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { createTempFolder, runCountersign } from '../support/processes.ts';

/** Files that can be read and hold the wrong thing: what is said of each, before anything listens. */
const CASES: Readonly<
  Record<string, readonly [program: string, variables: readonly string[], content: string, problem: RegExp]>
> = {
  'a certificate that is none': [
    'idproxy',
    ['COUNTERSIGN_TLS_CERT_FILE', 'COUNTERSIGN_TLS_KEY_FILE'],
    'x',
    /COUNTERSIGN_TLS_CERT_FILE and COUNTERSIGN_TLS_KEY_FILE: are no certificate and its key in PEM/,
  ],
  'introspection keys that are none': [
    'idproxy',
    ['COUNTERSIGN_INTROSPECTION_KEYS_FILE'],
    'label:short\n',
    /COUNTERSIGN_INTROSPECTION_KEYS_FILE: line 1 is not label:sha256/,
  ],
  'a JWK that is no JSON': ['start', ['COUNTERSIGN_JWE_KEY_FILE'], '{', /COUNTERSIGN_JWE_KEY_FILE: is not valid JSON/],
  'a JWK that is no key': [
    'start',
    ['COUNTERSIGN_JWE_KEY_FILE'],
    '{"kty":"RSA"}',
    /COUNTERSIGN_JWE_KEY_FILE: this is not a key/,
  ],
  'a JWKS without a key': [
    'start',
    ['COUNTERSIGN_JWE_KEY_FILE'],
    '{"keys":[]}',
    /COUNTERSIGN_JWE_KEY_FILE: this is not a JWK/,
  ],
};

describe('a file with the wrong thing in it', () => {
  let folder: string;
  before(async () => {
    folder = await createTempFolder();
  });
  after(() => rm(folder, { recursive: true, force: true }));

  for (const [what, [program, variables, content, problem]] of Object.entries(CASES)) {
    it(`is named, with exit code 2: ${what}`, async () => {
      const path = join(folder, 'file');
      await writeFile(path, content);
      const ended = await runCountersign([program], Object.fromEntries(variables.map((name) => [name, path])));
      assert.match(ended.stderr, problem);
      assert.equal(ended.code, 2);
    });
  }
});
