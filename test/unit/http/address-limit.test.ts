import assert from 'node:assert/strict';
import { test } from 'node:test';

import { createAddressLimit, toAddressKey } from '../../../src/http/address-limit.ts';

const KEYS: Readonly<Record<string, string>> = {
  '192.0.2.1': '192.0.2.1',
  '192.0.2.1:5678': '192.0.2.1',
  '::1': toAddressKey('::1'),
  '[2001:db8::1]:80': toAddressKey('2001:db8::1'),
  '[2001:db8::1]': toAddressKey('2001:db8::ffff'),
  garbage: 'garbage',
};
for (const [ip, key] of Object.entries(KEYS)) {
  test(`${ip} is counted as ${key}`, () => assert.equal(toAddressKey(ip), key));
}

test('an address may have so many in a minute, each address its own', async (t) => {
  const limit = createAddressLimit(2);
  t.after(() => limit.close());
  const taken = [await limit.take('a'), await limit.take('a'), await limit.take('a'), await limit.take('b')];
  assert.deepEqual(taken, [true, true, false, true]);
});
