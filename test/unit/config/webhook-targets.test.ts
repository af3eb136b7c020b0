import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { parseWebhookTargets } from '../../../src/config/webhook-targets.ts';

describe('targets of webhooks', () => {
  const taken: Record<string, [entries: string[], targets: [name: string, url: string][]]> = {
    none: [[], []],
    'a name': [['alerts=https://hooks.example/in'], [['alerts', 'https://hooks.example/in']]],
    'an equals sign in the query': [['a=https://h.example/?x=1'], [['a', 'https://h.example/?x=1']]],
    'a URL without a name': [['https://H.example/in?x=1'], [['https://h.example/in', 'https://h.example/in?x=1']]],
    'a loopback address': [['a=http://127.0.0.1:9/x'], [['a', 'http://127.0.0.1:9/x']]],
    'two names of one URL': [['a=https://h', 'b=https://h'], [['a', 'https://h/'], ['b', 'https://h/']]], // prettier-ignore
  };
  for (const [what, [entries, targets]] of Object.entries(taken)) {
    it(`take ${what}`, () =>
      assert.deepEqual(parseWebhookTargets(entries)?.map(({ name, url }) => [name, url]), targets)); // prettier-ignore
  }

  const refused: Record<string, string[]> = {
    'a name alone': ['alerts'],
    'http to another machine': ['a=http://hooks.example/'],
    'a file': ['a=file:///etc/passwd'],
    'a user': ['a=https://u:p@h.example/'],
    'a fragment': ['a=https://h.example/#x'],
    'one name twice': ['a=https://h.example/1', 'a=https://h.example/2'],
    'one URL twice': ['https://h.example/1', 'https://h.example/1'],
    'no name before the sign': ['=https://h.example/'],
    'a name of other characters': ['a b=https://h.example/'],
    'a wrong one among good ones': ['a=https://h.example/', 'x'],
  };
  for (const [what, entries] of Object.entries(refused)) {
    it(`are not ${what}`, () => assert.equal(parseWebhookTargets(entries), undefined));
  }
});
