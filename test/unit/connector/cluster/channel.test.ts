import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';

import { type AnswerQuestion, createChannel, createPortPair } from '../../../../src/connector/cluster/channel.ts';
import { fromWire, toWire } from '../../../../src/connector/cluster/config-wire.ts';
import {
  createLineSender,
  GATHER_LINES_MS,
  MAX_UNTAKEN_LOGS,
  MAX_UNWRITTEN_AUDITS,
} from '../../../../src/connector/cluster/line-sender.ts';
import type { LogLevel } from '../../../../src/connector/logs/levels.ts';
import type { RequestRecord } from '../../../../src/connector/request-record.ts';
import { Secret } from '../../../../src/core/secret.ts';
import { createFakeClock } from '../../../support/fake-clock.ts';

const clock = createFakeClock(1_795_212_000);
const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

interface Said {
  readonly type: string;
  readonly what?: number;
}

function connect(answer: AnswerQuestion) {
  const heard: Said[] = [];
  const [one, two] = createPortPair();
  const asking = createChannel<Said, Said>(one, () => undefined, () => Promise.reject(new Error('nobody'))); // prettier-ignore
  createChannel<Said, Said>(two, (message) => heard.push(message), answer);
  return { asking, heard };
}

describe('a channel', () => {
  it('carries messages in order', async () => {
    const { asking, heard } = connect(() => Promise.resolve());
    for (const what of [1, 2, 3]) asking.send({ type: 'said', what });
    await turn();
    assert.deepEqual(heard.map(({ what }) => what), [1, 2, 3]); // prettier-ignore
  });

  it('answers questions, each its own', async () => {
    const { asking } = connect(async (name, payload) => `${name} ${String(payload)}`);
    assert.deepEqual(await Promise.all([asking.ask('csr', 1), asking.ask('csr', 2)]), ['csr 1', 'csr 2']);
  });

  it('says why there is no answer', async () => {
    const { asking } = connect(() => Promise.reject(new Error('no key')));
    await assert.rejects(asking.ask('csr', 1), { message: 'no key' });
  });

  it('does not wait for ever', async () => {
    const { asking } = connect(() => new Promise(() => undefined));
    await assert.rejects(asking.ask('csr', 1, 5), { message: 'csr: no answer in time' });
  });

  it('fails its questions when the other process ends', async () => {
    const { asking } = connect(() => new Promise(() => undefined));
    const answer = asking.ask('csr', 1);
    asking.close();
    await assert.rejects(answer, { message: 'the other process has ended' });
  });
});

describe('a configuration on its way to a worker', () => {
  it('arrives as it was, frozen, its secrets wrapped', () => {
    const config = { key: new Secret('k'), list: [{ tls: { key: new Secret('l') } }], port: 1, isOn: true, none: null };
    const wire = structuredClone(toWire(config));
    const arrived = fromWire(wire) as typeof config;
    assert.deepEqual([arrived.key.reveal(), arrived.list[0]?.tls.key.reveal(), arrived.port], ['k', 'l', 1]);
    assert.ok(Object.isFrozen(arrived) && Object.isFrozen(arrived.list[0]));
    assert.equal(inspect(arrived).includes("'k'"), false);
  });
});

const RECORD: RequestRecord = {
  requestId: 'r-1',
  node: 'gw-1',
  method: 'GET',
  host: 'crm.virtual',
  port: 8080,
  target: '/api?token=abc',
  mapping: 'CRM',
  verdict: 'allowed',
  status: 200,
  requestBytes: 0,
  responseBytes: 12,
  durationMs: 3.0912,
};

function createSender(audit: LogLevel = 'info') {
  const sent: { logs: string; audits: string }[] = [];
  const sender = createLineSender({
    worker: 1,
    levels: () => ({ app: 'info', audit }),
    clock,
    send: (entries) => sent.push(entries),
    gather: (send) => void setImmediate(send),
  });
  return { sent, sender };
}

describe('the lines of a worker', () => {
  it('go out together with those of the same moment', async () => {
    const { sent, sender } = createSender();
    for (let n = 0; n < 3; n++) sender.audit.request(RECORD);
    sender.log.info('one');
    sender.log.info('two');
    await turn();
    assert.equal(sent.length, 1);
    assert.deepEqual([sent[0]?.audits.split('\n').length, sent[0]?.logs.split('\n').length], [3, 2]);
  });

  it('wait for others, but not long', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const sent: unknown[] = [];
    const levels = (): { app: LogLevel; audit: LogLevel } => ({ app: 'info', audit: 'info' });
    const sender = createLineSender({ worker: 1, levels, clock, send: (entries) => sent.push(entries) });
    sender.audit.request(RECORD);
    t.mock.timers.tick(GATHER_LINES_MS - 1);
    assert.equal(sent.length, 0);
    sender.audit.request(RECORD);
    t.mock.timers.tick(1);
    assert.equal(sent.length, 1);
  });

  it('a request is told without the values of its query', async () => {
    const { sent, sender } = createSender();
    sender.audit.request(RECORD);
    await turn();
    assert.equal(
      sent[0]?.audits,
      '{"at":"2026-11-20T22:00:00.000Z","kind":"request","worker":1,"method":"GET","url":"crm.virtual:8080/api?token=*","verdict":"allowed","status":200,"requestBytes":0,"responseBytes":12,"durationMs":3.1,"mapping":"CRM","node":"gw-1","requestId":"r-1"',
    );
  });

  for (const level of ['fatal', 'critical', 'error', 'warn', 'info', 'debug', 'trace'] as const) {
    it(`no request and no change of the configuration is left out at level ${level}`, async () => {
      const { sent, sender } = createSender(level);
      sender.audit.request(RECORD);
      sender.audit.event('config', { result: 'taken' });
      await turn();
      assert.equal(sent[0]?.audits.split('\n').length, 2);
      assert.equal(sent[0]?.audits.includes('"mapping":"CRM"'), ['info', 'debug', 'trace'].includes(level));
    });
  }

  it('no more requests are taken while too many are not written', () => {
    const { sender } = createSender();
    for (let n = 0; n < MAX_UNWRITTEN_AUDITS; n++) {
      assert.equal(sender.audit.canRecord(), true);
      sender.audit.request(RECORD);
    }
    assert.equal(sender.audit.canRecord(), false);
    sender.onAck(0, 1);
    assert.equal(sender.audit.canRecord(), true);
  });

  it('lines of the application log that are too many are counted', async () => {
    const { sent, sender } = createSender();
    for (let n = 0; n < MAX_UNTAKEN_LOGS + 5; n++) sender.log.info('more');
    await turn();
    assert.equal(sent[0]?.logs.split('\n').length, MAX_UNTAKEN_LOGS);
    sender.onAck(MAX_UNTAKEN_LOGS, 0);
    await turn();
    assert.match(sent[1]?.logs ?? '', /"message":"lines of this log were left out: there were too many","lines":5/);
  });

  it('the end waits until all is written', async () => {
    const { sent, sender } = createSender();
    sender.audit.request(RECORD);
    const early = sender.flush(5);
    assert.equal(sent.length, 1);
    assert.equal(await early, false);
    const late = sender.flush(5_000);
    sender.onAck(0, 1);
    assert.equal(await late, true);
  });
});
