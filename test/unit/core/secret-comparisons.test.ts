import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { before, describe, it } from 'node:test';

import { checkSecretComparisons, PLACES } from '../../support/secret-comparisons.ts';

describe('secrets are compared in constant time', () => {
  const sources = new Map<string, string>();
  before(async () => {
    for (const name of await readdir('src', { recursive: true })) {
      if (name.endsWith('.ts'))
        sources.set(`src/${name.split(sep).join('/')}`, await readFile(join('src', name), 'utf8'));
    }
  });
  const change = (path: string, toText: (text: string) => string): string[] => {
    const text = sources.get(path) ?? '';
    const changed = toText(text);
    assert.notEqual(changed, text, `${path} was not changed`);
    return checkSecretComparisons(new Map([...sources, [path, changed]]));
  };

  it('everywhere in src/', () => {
    assert.ok(sources.size > 300, String(sources.size));
    assert.deepEqual(checkSecretComparisons(sources), []);
  });

  for (const path of Object.keys(PLACES)) {
    it(`and it is seen where that is given up in ${path}`, () => {
      const call =
        /\b(?<!function )(?:timingSafeEqual|isSameText|isHashOf)\(((?:[^(),]|\([^()]*\))+), ((?:[^(),]|\([^()]*\))+)\)/;
      for (const [way, text] of Object.entries({ bytes: '$1.equals($2)', texts: '$1 === $2' })) {
        // Calls with calls in them are more than a pattern reads.
        const complaints = change(path, (source) =>
          call.test(source)
            ? source.replace(call, text)
            : source.replace(/(?<!function )(?:timingSafeEqual|isSameText|isHashOf)\(/, 'isEqual('),
        );
        assert.match(
          complaints.join('\n'),
          new RegExp(`^${path}: \\d+ comparisons in constant time, listed are`, 'm'),
          way,
        );
      }
    });
  }

  const SEEN: Readonly<Record<string, string>> = {
    'two digests': 'if (hash.digest("hex") === expected) go();',
    'a digest made on the spot': "const isSame = createHash('sha256').update(a).digest('hex') === stored;",
    'a hash by its name': 'return entry.sha256 !== found;',
    'a secret by its name': 'return config.clientSecret == given;',
    'a token that is revealed': 'return token === metricsToken.reveal();',
    'a mac on the other side': 'if (given === mac) go();',
    'a signature over lines': 'if (\n  given !==\n  parts.signature\n) go();',
    bytes: 'return expected.equals(actual);',
    'bytes by another name': 'return Buffer.compare(a, b) === 0;',
    'a nonce that may be absent': 'return ticket.nonce! === given;',
  };
  for (const [name, text] of Object.entries(SEEN)) {
    it(`sees ${name}`, () => {
      assert.equal(checkSecretComparisons(new Map([...sources, ['src/apps/new.ts', text]])).length, 1, text);
    });
  }

  const HARMLESS: Readonly<Record<string, string>> = {
    'whether there is one': "return secret === undefined || token !== null || typeof secret === 'string';",
    'its length': 'return secret.length === 32;',
    'a comment': '// secret === other\nexport const a = 1;',
    'something else': 'return alg === registered;',
  };
  for (const [name, text] of Object.entries(HARMLESS)) {
    it(`lets ${name} be asked`, () => {
      assert.deepEqual(checkSecretComparisons(new Map([...sources, ['src/apps/new.ts', text]])), []);
    });
  }
});
