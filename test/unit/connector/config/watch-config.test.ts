import assert from 'node:assert/strict';
import {
  appendFileSync,
  chmodSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
} from 'node:fs';
import { after, before, beforeEach, afterEach, describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';

import type { AgentConfig } from '../../../../src/connector/config/agent-config.ts';
import { keepFormer, listFormer, MAX_FORMER_FILES } from '../../../../src/connector/config/keep-former.ts';
import { readAgentConfig } from '../../../../src/connector/config/load-agent-config.ts';
import { type ChangedFile, type ConfigWatch, watchAgentConfig } from '../../../../src/connector/config/watch-config.ts';
import { systemClock } from '../../../../src/core/clock.ts';
import { createFakeClock } from '../../../support/fake-clock.ts';
import { ACCESS, createInstallations, type Installation, SEED_CONFIG } from './installation.ts';

const MAIN = 'config/connectorconfig.json';
const ACCESS_FILE = 'config/configs/accesscontrol.json';
const PATIENCE_MS = 10_000;
/** Quick, but an editor's steps below still fall into one rest. */
const PACE = { restMs: 40, faultRestMs: 120, compareEveryMs: 100 };

let installations: ReturnType<typeof createInstallations>;
before(() => {
  installations = createInstallations();
});
after(() => installations.remove());

const toAccess = (internalhost: string): string => ACCESS.replace('10.1.2.3', internalhost);
const hostsOf = ({ mappings }: AgentConfig): string[] => mappings.map(({ internalHost }) => internalHost);

type Told =
  | { readonly hosts: readonly string[]; readonly files: readonly ChangedFile[] }
  | { readonly faults: readonly string[] };

describe('watchAgentConfig', () => {
  let installation: Installation;
  let told: Told[];
  let watched: ConfigWatch;
  let reads: number;
  const clock = createFakeClock(Date.UTC(2026, 10, 20, 22, 0, 0, 125) / 1000);

  const start = (pace: { restMs?: number; faultRestMs?: number; compareEveryMs?: number } = PACE): void => {
    const read = () => {
      reads++;
      return readAgentConfig(installation.folder, { clock: systemClock });
    };
    watched = watchAgentConfig({
      initial: read(),
      read,
      onChange: (config, files) => told.push({ hosts: hostsOf(config), files }),
      onFault: (faults) => told.push({ faults }),
      clock,
      ...pace,
    });
  };
  const until = async (isSo: () => boolean): Promise<void> => {
    const end = performance.now() + PATIENCE_MS;
    while (!isSo()) {
      assert.ok(performance.now() < end, `not within ${PATIENCE_MS} ms; told so far: ${JSON.stringify(told)}`);
      await wait(5);
    }
  };
  /** What is told once `count` things were. */
  const hear = async (count: number): Promise<readonly Told[]> => {
    await until(() => told.length >= count);
    return told;
  };
  /** Makes a change that is surely told, so that whatever was told before it is there too. */
  const hearMarker = async (): Promise<void> => {
    installation.write(ACCESS_FILE, toAccess('marker'));
    await until(() => told.some((one) => 'hosts' in one && one.hosts[0] === 'marker'));
  };
  const former = (): string[] =>
    readdirSync(installation.path('config/configs')).filter((name) => name.endsWith('.bak'));

  beforeEach(() => {
    installation = installations.create();
    told = [];
    reads = 0;
  });
  afterEach(() => watched.close());

  it('applies a valid change, and keeps the former content with its time and permissions', async () => {
    chmodSync(installation.path(ACCESS_FILE), 0o640);
    start();
    installation.write(ACCESS_FILE, toAccess('10.9.9.9'));
    const formerKeptAs = `${ACCESS_FILE}.2026-11-20T220000.125Z.bak`;
    assert.deepEqual(await hear(1), [{ hosts: ['10.9.9.9'], files: [{ file: ACCESS_FILE, formerKeptAs }] }]);
    assert.equal(readFileSync(installation.path(formerKeptAs), 'utf8'), ACCESS);
    assert.equal(statSync(installation.path(formerKeptAs)).mode & 0o777, 0o640);
  });

  it('hands over what was in force before', async () => {
    const formerHosts: string[][] = [];
    const read = () => readAgentConfig(installation.folder, { clock: systemClock });
    watched = watchAgentConfig({
      initial: read(),
      read,
      clock,
      ...PACE,
      onChange: (config, _, before) => formerHosts.push(hostsOf(before), hostsOf(config)),
      onFault: (faults) => told.push({ faults }),
    });
    installation.write(ACCESS_FILE, toAccess('b'));
    await until(() => formerHosts.length > 0);
    assert.deepEqual(formerHosts, [['10.1.2.3'], ['b']]);
  });

  for (const [name, pace] of Object.entries({
    'told by the file system': { ...PACE, compareEveryMs: 3_600_000 },
    'seen by comparing': PACE,
  })) {
    it(`notices a file that is replaced by another one, again and again: ${name}`, async () => {
      start(pace);
      for (const host of ['a', 'b', 'c']) {
        installation.write('config/configs/.accesscontrol.json.swp', toAccess(host));
        renameSync(installation.path('config/configs/.accesscontrol.json.swp'), installation.path(ACCESS_FILE));
        await until(() => told.some((one) => 'hosts' in one && one.hosts[0] === host));
      }
      assert.equal(told.length, 3);
      assert.equal(former().length, 3);
    });
  }

  it('waits for a file that is written in parts', async () => {
    start({ ...PACE, faultRestMs: 3_600_000 });
    const text = toAccess('10.9.9.9');
    installation.write(ACCESS_FILE, '');
    const seen = reads;
    await until(() => reads > seen);
    installation.write(ACCESS_FILE, text.slice(0, 40));
    await until(() => reads > seen + 1);
    appendFileSync(installation.path(ACCESS_FILE), text.slice(40));
    const [first, ...more] = await hear(1);
    assert.ok(first && 'hosts' in first);
    assert.deepEqual(first.hosts, ['10.9.9.9']);
    assert.deepEqual(more, []);
  });

  it('refuses an invalid change once, keeps what is in force, and takes the next valid one', async () => {
    start();
    installation.write(ACCESS_FILE, '[');
    const faults = [`${ACCESS_FILE}:1:2: the file ends here; a value is missing`];
    assert.deepEqual(await hear(1), [{ faults }]);
    const seen = reads;
    utimesSync(installation.path(ACCESS_FILE), 1, 1);
    watched.check();
    installation.write(ACCESS_FILE, '[[');
    assert.equal((await hear(2)).length, 2);
    assert.ok(reads > seen);
    installation.write(ACCESS_FILE, toAccess('10.9.9.9'));
    const [, , third, ...more] = await hear(3);
    assert.ok(third && 'hosts' in third);
    assert.equal(third.files.length, 1);
    assert.deepEqual(more, []);
    assert.deepEqual(
      former().map((name) => readFileSync(installation.path(`config/configs/${name}`), 'utf8')),
      [ACCESS],
    );
  });

  it('says nothing of an invalid change that was taken back, and the same fault again after a good time', async () => {
    start();
    installation.write(ACCESS_FILE, '[');
    await hear(1);
    installation.write(ACCESS_FILE, ACCESS);
    const seen = reads;
    await until(() => reads > seen);
    installation.write(ACCESS_FILE, '[');
    assert.equal((await hear(2)).length, 2);
    assert.ok(told.every((one) => 'faults' in one));
    assert.deepEqual(former(), []);
  });

  it('says nothing of a file that is touched, or written again as it was', async () => {
    start();
    utimesSync(installation.path(MAIN), 1, 1);
    installation.write(MAIN, SEED_CONFIG);
    installation.write('config/configs/other.json', '[');
    await hearMarker();
    assert.equal(told.length, 1);
    assert.equal(reads, 2);
  });

  it('is not put off by other files of the folder', async () => {
    start({ ...PACE, compareEveryMs: 3_600_000 });
    const busy = setInterval(() => installation.write('config/configs/busy.log', `${performance.now()}`), 5);
    installation.write(ACCESS_FILE, toAccess('b'));
    await hear(1).finally(() => clearInterval(busy));
  });

  it('tells of both files at once', async () => {
    start();
    installation.write(MAIN, SEED_CONFIG.replace('"workers":2', '"workers":3'));
    installation.write(ACCESS_FILE, toAccess('b'));
    const [first] = await hear(1);
    assert.ok(first && 'files' in first);
    assert.deepEqual(
      first.files.map(({ file }) => file),
      [MAIN, ACCESS_FILE],
    );
  });

  it('notices a new key and certificate, and copies neither', async () => {
    const other = installations.create();
    start();
    const name = 'credentials/ca.crt';
    installation.write(name, `${readFileSync(other.path(name), 'utf8')}\n`);
    assert.deepEqual(await hear(1), [{ hosts: ['10.1.2.3'], files: [] }]);
    assert.equal(
      readdirSync(installation.path('credentials')).some((entry) => entry.endsWith('.bak')),
      false,
    );
  });

  it('refuses a file that is removed, and follows one that is named and not there yet', async () => {
    start();
    installation.write(ACCESS_FILE, undefined);
    assert.deepEqual(await hear(1), [{ faults: [`${ACCESS_FILE}: is not there`] }]);
    installation.write(ACCESS_FILE, ACCESS);
    installation.write(MAIN, SEED_CONFIG.replace('./credentials/ca.crt', './new/ca.crt'));
    await hear(2);
    installation.write('new/ca.crt', readFileSync(installation.path('credentials/ca.crt')));
    const [, , third] = await hear(3);
    assert.ok(third && 'hosts' in third);
  });

  it('goes on after the whole folder was replaced', async () => {
    start();
    renameSync(installation.path('config'), installation.path('config.old'));
    await hear(1);
    installation.write(MAIN, SEED_CONFIG);
    installation.write('config/gateway.json', readFileSync(installation.path('config.old/gateway.json')));
    await hearMarker();
    rmSync(installation.path('config.old'), { recursive: true });
  });

  it('applies a change whose former content cannot be kept, and says so', async () => {
    start();
    for (let ms = 0; ms <= 60; ms++) {
      const stamp = new Date(clock.nowSeconds() * 1000 + ms).toISOString().replaceAll(':', '');
      installation.write(`${ACCESS_FILE}.${stamp}.bak`, 'taken');
    }
    installation.write(ACCESS_FILE, toAccess('b'));
    const formerFault = `the former ${ACCESS_FILE} could not be kept (EEXIST)`;
    assert.deepEqual(await hear(1), [{ hosts: ['b'], files: [{ file: ACCESS_FILE, formerFault }] }]);
  });

  it('is quiet once it is closed', async () => {
    start();
    watched.close();
    installation.write(ACCESS_FILE, toAccess('b'));
    watched.check();
    await wait(PACE.compareEveryMs + 2 * PACE.restMs);
    assert.deepEqual(told, []);
  });
});

describe('keepFormer', () => {
  it(`keeps ${MAX_FORMER_FILES} of one file, the newest, and looks at no other file`, () => {
    const installation = installations.create();
    const path = installation.path(MAIN);
    installation.write(`${MAIN}.bak`, 'of the operator');
    installation.write(`${MAIN}.2020-01-01.bak`, 'of the operator');
    const kept: string[] = [];
    for (let i = 0; i < MAX_FORMER_FILES + 3; i++) kept.push(keepFormer(path, Buffer.from(`${i}`), 0o600, 1_000 + i));
    assert.deepEqual(listFormer(path), kept.slice(3));
    assert.equal(readFileSync(kept.at(-1) ?? '', 'utf8'), `${MAX_FORMER_FILES + 2}`);
    assert.equal(readdirSync(installation.path('config')).filter((name) => name.endsWith('.bak')).length, 22);
  });

  it('keeps what is written while the clock is set back', () => {
    const path = installations.create().path(MAIN);
    for (let i = 0; i < MAX_FORMER_FILES; i++) keepFormer(path, Buffer.from('late'), 0o600, 2_000 + i);
    const early = keepFormer(path, Buffer.from('early'), 0o600, 1_000);
    assert.deepEqual(readFileSync(early, 'utf8'), 'early');
    assert.equal(listFormer(path).length, MAX_FORMER_FILES);
  });

  it('gives two of one moment two names', () => {
    const path = installations.create().path(MAIN);
    const kept = ['one', 'two'].map((content) => keepFormer(path, Buffer.from(content), 0o600, 1_000));
    assert.deepEqual(
      kept.map((one) => readFileSync(one, 'utf8')),
      ['one', 'two'],
    );
  });
});
