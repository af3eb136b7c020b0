import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import { checkPathEntry, checkTarget, isPathAllowed, PathError } from '../../../src/tunnel/paths.ts';
import { MATCHES, PATH_VECTORS } from '../../vectors/paths.ts';

const PARTS = String.raw`
  / . .. %2e %2E %25 %252e %2f %5c \ ; %3b %c0%ae %e2%80%a5 25 2e a admin %61 % %00 %20 ? # // é %c3%a9 %ef%bc%8e ~ + * { |
`.match(/\S+/g) as readonly string[];

/** Targets made of what attacks on paths are made of. */
const hostileTarget = fc.array(fc.constantFrom(...PARTS), { maxLength: 14 }).map((parts) => `/${parts.join('')}`);
const anyTarget = fc.oneof(hostileTarget, fc.string({ unit: 'binary', maxLength: 40 }), fc.webPath());

/** What {@link checkTarget} says, or undefined where it refuses. */
function readPath(target: string, allowEncodedSlash: boolean): string | undefined {
  try {
    return checkTarget(target, allowEncodedSlash);
  } catch (error) {
    assert.ok(error instanceof PathError, String(error));
    return undefined;
  }
}

/** Every form of a text that decoding it again and again leads through, by a decoder of its own kind. */
function* decodeAll(text: string): Generator<string> {
  for (let before = '', now = text; now !== before;) {
    yield now;
    [before, now] = [now, unescape(now)];
  }
}

const isDots = (segment: string): boolean => /^\.{1,2}(?:;.*)?$/s.test(segment);

describe('checkTarget', () => {
  for (const [name, { target, allowEncodedSlash = false, refusedFor, path = target }] of Object.entries(PATH_VECTORS)) {
    it(`${refusedFor === undefined ? 'takes' : 'refuses'} ${name}`, () => {
      if (refusedFor === undefined) {
        assert.equal(checkTarget(target, allowEncodedSlash), path);
        return;
      }
      assert.throws(() => checkTarget(target, allowEncodedSlash), { name: 'PathError', message: refusedFor });
    });
  }

  it('refuses what it refuses without the encoded slashes too', () => {
    for (const [name, { target, refusedFor }] of Object.entries(PATH_VECTORS)) {
      if (refusedFor !== undefined) assert.equal(readPath(target, false), undefined, name);
    }
  });

  it('quotes nothing of what it refuses', () => {
    assert.throws(
      () => checkTarget('/secret-4711/..', false),
      (error: Error) => !error.message.includes('4711'),
    );
  });

  it('never takes a path that decodes into dots, or into other segments than it has', () => {
    let taken = 0;
    fc.assert(
      fc.property(anyTarget, fc.boolean(), (target, allowEncodedSlash) => {
        const path = readPath(target, allowEncodedSlash);
        if (path === undefined) return;
        taken++;
        assert.ok(target.startsWith(path) && path.startsWith('/'));
        for (const text of decodeAll(path)) {
          assert.ok(!text.split(/[/\\]/).some(isDots), path);
          assert.ok(!/[\x00-\x1f\x7f]/.test(text), path);
          if (!allowEncodedSlash) assert.equal(text.split(/[/\\]/).length, path.split('/').length, path);
        }
      }),
      { numRuns: 5_000 },
    );
    assert.ok(taken > 500, `only ${taken} were taken`);
  });

  it('takes nothing that the URL standard would read as another path', () => {
    // The standard encodes some characters that it does not move: "<>^`{}.
    const encode = (path: string): string =>
      path.replaceAll(/["<>^`{}]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
    fc.assert(
      fc.property(anyTarget, fc.boolean(), (target, allowEncodedSlash) => {
        const path = readPath(target, allowEncodedSlash);
        if (path === undefined) return;
        assert.equal(encode(new URL(`http://x${target}`).pathname), encode(path));
        assert.equal(new URL(`http://x${target}`).host, 'x');
      }),
      { numRuns: 5_000 },
    );
  });

  it('says the same of the longest head in little time', () => {
    const texts = ['%25'.repeat(10_000), '.'.repeat(30_000) + 'x', '/.;'.repeat(10_000), '%2e'.repeat(10_000)];
    for (const text of texts) {
      const begun = process.hrtime.bigint();
      readPath(`/a${text}`, false);
      assert.ok(process.hrtime.bigint() - begun < 500_000_000n, text.slice(0, 9));
    }
  });
});

describe('isPathAllowed', () => {
  for (const [name, { path, allowed, isAllowed }] of Object.entries(MATCHES)) {
    it(`${isAllowed ? 'admits' : 'does not admit'} ${name}`, () =>
      assert.equal(isPathAllowed(path, allowed), isAllowed));
  }

  it('admits below a folder what lies in it by the URL standard, and nothing else', () => {
    fc.assert(
      fc.property(hostileTarget, (rest) => {
        const path = readPath(`/public${rest}`, false);
        if (path === undefined) return;
        const segments = new URL(path, 'http://x').pathname.split('/');
        assert.equal(isPathAllowed(path, ['/public/*']), segments[1] === 'public' && segments.length > 2);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('checkPathEntry', () => {
  const TAKEN = ['/*', '/', '/a', '/a/', '/a/*', '/a/b.json', '/caf%C3%A9/*', '/group%2Fname', '/a/%2A'];
  for (const entry of TAKEN) it(`takes ${entry}`, () => checkPathEntry(entry));

  const REFUSED: Readonly<Record<string, readonly [string, RegExp]>> = {
    'a query': ['/a?b=c', /parameters are not looked at/],
    'a query before the wildcard': ['/a?/*', /parameters are not looked at/],
    'a fragment': ['/a#b', /fragment/],
    'nothing at all': ['', /begin with a slash/],
    'the wildcard alone': ['*', /elsewhere/],
    'a wildcard without its slash': ['/a*', /elsewhere/],
    'a wildcard in the middle': ['/a/*/b', /elsewhere/],
    'two wildcards': ['/a/*/*', /elsewhere/],
    'two asterisks': ['/a/**', /elsewhere/],
    'no leading slash': ['a/*', /begin with a slash/],
    'a URL': ['http://host/a', /begin with a slash/],
    dots: ['/a/../b', /dots alone/],
    'encoded dots': ['/a/%2e%2e/*', /dots alone/],
    'an empty segment': ['/a//b', /empty segment/],
    'an empty segment before the wildcard': ['/a//*', /empty segment/],
    'a backslash': ['/a\\b', /backslash/],
    'a space': ['/a b', /space/],
    'a raw character': ['/café', /outside ASCII/],
    'a bad escape': ['/a%zz', /begins no escape/],
  };
  for (const [name, [entry, message]] of Object.entries(REFUSED)) {
    it(`refuses ${name}`, () => assert.throws(() => checkPathEntry(entry), { name: 'PathError', message }));
  }
});
