import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import {
  HEARTBEAT_EVERY_MS,
  NODE_EXPIRES_MS,
  NodeRecordError,
  parseNodeAddress,
  parseNodeRecord,
} from '../../../../src/gateway/nodes/node-record.ts';

const AGENT = {
  connector: 'cn-1',
  instance: 'i-1',
  worker: 1,
  hostname: 'host',
  version: '1.0.0',
  connectedAt: 1_700_000_000.5,
};
const RECORD = { address: 'gw-1.example:8443', load: 3, agents: [AGENT] };

describe('what a node tells of itself', () => {
  test('is read as it was written, without what a later version adds', () => {
    const later = { ...RECORD, zone: 'b', agents: [{ ...AGENT, os: 'linux' }] };
    assert.deepEqual(parseNodeRecord('gateway:gw-1', JSON.stringify(later)), { nodeId: 'gw-1', record: RECORD });
    const empty = { ...RECORD, agents: [] };
    assert.deepEqual(parseNodeRecord('gateway:a.b_c', JSON.stringify(empty)), { nodeId: 'a.b_c', record: empty });
  });

  const without = (name: string): string => JSON.stringify({ ...RECORD, [name]: undefined });
  const withAgent = (traits: object): string => JSON.stringify({ ...RECORD, agents: [AGENT, { ...AGENT, ...traits }] });
  const BROKEN: Readonly<Record<string, { owner?: string; body: string; says: RegExp }>> = {
    'no JSON': { body: '{', says: /not valid JSON$/ },
    'no object': { body: '[]', says: /not a JSON object$/ },
    'a member twice': { body: `{"load":1,${JSON.stringify(RECORD).slice(1)}`, says: /twice$/ },
    'too deep': { body: '{"a":'.repeat(40), says: /deeper/ },
    'without an address': { body: without('address'), says: /"address"$/ },
    'an address without a port': { body: JSON.stringify({ ...RECORD, address: 'gw-1' }), says: /"address"$/ },
    'without a load': { body: without('load'), says: /"load"$/ },
    'a load below zero': { body: JSON.stringify({ ...RECORD, load: -1 }), says: /"load"$/ },
    'without agents': { body: without('agents'), says: /"agents"$/ },
    'an agent that is no object': { body: JSON.stringify({ ...RECORD, agents: [1] }), says: /"agents.0"$/ },
    'an agent without a connector': { body: withAgent({ connector: '' }), says: /"agents.1.connector"$/ },
    'an agent of half a worker': { body: withAgent({ worker: 1.5 }), says: /"agents.1.worker"$/ },
    'an agent of text for a time': { body: withAgent({ connectedAt: '1' }), says: /"agents.1.connectedAt"$/ },
    'no id': { owner: 'gateway:', body: JSON.stringify(RECORD), says: /id/ },
    'an id with a line feed': { owner: 'gateway:a\nb', body: JSON.stringify(RECORD), says: /id/ },
    'an id that is too long': { owner: `gateway:${'a'.repeat(101)}`, body: JSON.stringify(RECORD), says: /id/ },
    'another owner': { owner: 'seen:gw-1', body: JSON.stringify(RECORD), says: /id/ },
  };
  for (const [name, { owner = 'gateway:gw-1', body, says }] of Object.entries(BROKEN)) {
    test(`is refused: ${name}`, () => {
      assert.throws(
        () => parseNodeRecord(owner, body),
        (error) => error instanceof NodeRecordError && says.test(error.message) && !error.message.includes('host'),
      );
    });
  }

  test('one heartbeat may be lost', () => {
    assert.ok(NODE_EXPIRES_MS > 2 * HEARTBEAT_EVERY_MS);
  });
});

describe('the address of a node', () => {
  const ADDRESSES: Readonly<Record<string, { host: string; port: number } | undefined>> = {
    'gw-1.example:8443': { host: 'gw-1.example', port: 8443 },
    '10.0.0.1:1': { host: '10.0.0.1', port: 1 },
    '[::1]:65535': { host: '::1', port: 65_535 },
    '[fe80::1.2.3.4]:80': { host: 'fe80::1.2.3.4', port: 80 },
    'gw-1:0': undefined,
    'gw-1:65536': undefined,
    'gw-1:': undefined,
    ':80': undefined,
    'gw-1': undefined,
    '::1:80': undefined,
    '[gw-1]:80': undefined,
    'https://gw-1:80': undefined,
    'user@gw-1:80': undefined,
    'gw-1:80/': undefined,
    'gw 1:80': undefined,
    'gw-1:80\n': undefined,
    '': undefined,
  };
  for (const [address, expected] of Object.entries(ADDRESSES)) {
    test(`${JSON.stringify(address)} is ${expected ? `${expected.host} and ${expected.port}` : 'none'}`, () => {
      assert.deepEqual(parseNodeAddress(address), expected);
    });
  }
});
