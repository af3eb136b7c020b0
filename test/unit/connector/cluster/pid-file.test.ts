import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';

import { claimPidFile, findRunning, toPidPath } from '../../../../src/connector/cluster/pid-file.ts';
import { createTempFolder } from '../../../support/processes.ts';

let root: string;
let path: string;
let count = 0;
before(async () => (root = await createTempFolder()));
after(() => rm(root, { recursive: true }));
beforeEach(async () => {
  path = toPidPath(`${root}/${++count}`);
  await mkdir(dirname(path), { recursive: true });
});

/** The id of a process that has ended. */
async function findDeadPid(): Promise<number> {
  const child = spawn('true');
  await once(child, 'exit');
  return child.pid ?? 0;
}

describe('the pid file', () => {
  it('names this process until it is released', async () => {
    const release = await claimPidFile(path);
    assert.equal(await findRunning(path), process.pid);
    assert.equal(Number((await readFile(path, 'utf8')).split('\n')[0]), process.pid);
    await release();
    assert.equal(await findRunning(path), undefined);
  });

  it('refuses a second agent', async () => {
    const release = await claimPidFile(path);
    await assert.rejects(claimPidFile(path), { name: 'AlreadyRunningError', message: /runs already, as process \d+/ });
    await release();
  });

  it('of another agent is not removed', async () => {
    const release = await claimPidFile(path);
    await writeFile(path, '1\n');
    await release();
    assert.equal(await readFile(path, 'utf8'), '1\n');
  });

  const LEFT_BEHIND: Readonly<Record<string, () => Promise<string>>> = {
    'of a process that has ended': async () => `${await findDeadPid()}\n`,
    'whose number another process has now': async () => `${process.pid}\n12345 another-boot\n`,
    'that is empty': async () => '',
    'that holds something else': async () => 'hello\n',
    'with a number that is none of a process': async () => '-1\n',
  };
  for (const [name, toContent] of Object.entries(LEFT_BEHIND)) {
    it(`${name} is replaced`, async () => {
      await writeFile(path, await toContent());
      assert.equal(await findRunning(path), undefined);
      const release = await claimPidFile(path);
      assert.equal(await findRunning(path), process.pid);
      await release();
    });
  }
});
