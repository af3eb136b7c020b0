import assert from 'node:assert/strict';
import { appendFile, mkdir, readdir, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { KEY_LIFETIME_SECONDS, toKeyHash } from '../../../../src/connector/webhooks/key-memory.ts';
import { KeyReusedError, SpoolFullError } from '../../../../src/connector/webhooks/spool.ts';
import { startSpool, toPush } from './spool-under-test.ts';

const FIRST = '0000000000000001.msg';
const SECOND = '0000000000000002.msg';

describe('the spool of webhooks', () => {
  it('keeps messages over the end of a process, byte for byte and in order', async (t) => {
    const { spool, again, added, folder } = await startSpool(t);
    const bodies = [Buffer.from('one\n'), Buffer.alloc(100_000, 7), Buffer.alloc(0), Buffer.from([0, 10, 255])];
    const ids = [];
    for (const body of bodies) ids.push((await spool.add({ ...toPush(''), body })).id);
    assert.deepEqual(added.map(({ id }) => id), ids); // prettier-ignore
    assert.equal((await stat(join(folder, FIRST))).mode & 0o777, 0o600);

    const later = await again();
    assert.deepEqual([later.count, later.bytes], [4, 100_007]);
    assert.deepEqual(later.entries().map(({ id, target }) => [id, target]), ids.map((id) => [id, 'alerts'])); // prettier-ignore
    const read = await Promise.all(later.entries().map((entry) => later.readBody(entry)));
    assert.deepEqual(read, bodies);
    assert.deepEqual(later.entries()[0]?.fields, ['content-type', 'text/plain']);
  });

  it('goes on counting behind what failed and what is left', async (t) => {
    const { spool, again, folder } = await startSpool(t);
    await spool.add(toPush('one'));
    await spool.add(toPush('two'));
    const [one, two] = spool.entries();
    assert.ok(one && two);
    await spool.remove(one);
    await spool.setAside(two);
    const later = await again();
    await later.add(toPush('three'));
    assert.deepEqual((await readdir(folder)).sort(), ['0000000000000003.msg', 'failed', 'keys']);
    assert.deepEqual(await readdir(join(folder, 'failed')), [SECOND]);
    // People put one back.
    await rename(join(folder, 'failed', SECOND), join(folder, SECOND));
    const last = await again();
    assert.deepEqual((await Promise.all(last.entries().map((entry) => last.readBody(entry)))).map(String), ['two', 'three']); // prettier-ignore
  });

  const damages: Record<string, (path: string) => Promise<void>> = {
    'is empty': (path) => truncate(path, 0),
    'was cut in its header': (path) => truncate(path, 100),
    'was cut in its body': async (path) => truncate(path, (await stat(path)).size - 1),
    'has more than its body': (path) => appendFile(path, 'x'),
    'has another header': async (path) => writeFile(path, (await readFile(path, 'latin1')).replace('alerts', 'alarms')),
    'is no message': (path) => writeFile(path, `${'0'.repeat(64)} {}\nx`),
    'is a folder': async (path) => {
      await rm(path);
      await mkdir(path);
    },
  };
  for (const [what, damage] of Object.entries(damages)) {
    it(`a file that ${what} is set aside, and the others go on`, async (t) => {
      const { spool, again, folder, said } = await startSpool(t);
      await spool.add(toPush('one'));
      await spool.add(toPush('two'));
      await damage(join(folder, FIRST));
      const later = await again();
      assert.deepEqual((await Promise.all(later.entries().map((entry) => later.readBody(entry)))).map(String), ['two']); // prettier-ignore
      assert.deepEqual(await readdir(join(folder, 'failed')), [FIRST]);
      assert.deepEqual(said, ['critical a spooled webhook cannot be read; it is kept in failed/']);
    });
  }

  it('a body that was changed is not given out', async (t) => {
    const { spool, folder } = await startSpool(t);
    await spool.add(toPush('one'));
    await writeFile(join(folder, FIRST), (await readFile(join(folder, FIRST), 'latin1')).replace(/one$/, 'two'));
    const [entry] = spool.entries();
    assert.ok(entry);
    await assert.rejects(spool.readBody(entry), { name: 'SpoolFileError' });
  });

  it('what was being written when the process ended never counted', async (t) => {
    const { again, folder } = await startSpool(t);
    await writeFile(join(folder, `${FIRST}.tmp`), 'half a mess');
    assert.equal((await again()).count, 0);
    assert.deepEqual((await readdir(folder)).sort(), ['failed', 'keys']);
  });

  it('a disk that refuses leaves nothing behind, and the next message is taken', async (t) => {
    const { spool, folder } = await startSpool(t);
    // The name of the unfinished file is taken by a folder, which no unlink removes.
    await mkdir(join(folder, `${FIRST}.tmp`));
    await assert.rejects(spool.add(toPush('one', { key: 'k' })), { code: 'EEXIST' });
    assert.deepEqual([spool.count, spool.bytes], [0, 0]);
    assert.equal((await spool.add(toPush('one', { key: 'k' }))).isNew, true);
    assert.equal(spool.count, 1);
  });

  describe('is full', () => {
    it('by number, what is being written included', async (t) => {
      const { spool } = await startSpool(t, { maxMessages: 2 });
      const added = await Promise.allSettled([1, 2, 3].map((n) => spool.add(toPush(String(n)))));
      assert.deepEqual(added.map(({ status }) => status), ['fulfilled', 'fulfilled', 'rejected']); // prettier-ignore
      await assert.rejects(spool.add(toPush('4')), SpoolFullError);
      const [entry] = spool.entries();
      assert.ok(entry);
      await spool.remove(entry);
      await spool.add(toPush('5'));
    });

    it('by bytes', async (t) => {
      const { spool } = await startSpool(t, { maxBytes: 10 });
      await spool.add(toPush('12345678'));
      await assert.rejects(spool.add(toPush('123')), SpoolFullError);
      await spool.add(toPush('12'));
      assert.equal(spool.bytes, 10);
    });
  });

  describe('a key', () => {
    const key = toKeyHash('/alerts', 'order-1');

    it('stands for one message: at one time, later, in the next process and after the delivery', async (t) => {
      const { spool, again, folder } = await startSpool(t);
      const [first, second] = await Promise.all([spool.add(toPush('a', { key })), spool.add(toPush('a', { key }))]);
      assert.deepEqual([first.isNew, second], [true, { id: first.id, isNew: false }]);
      const known = { id: first.id, isNew: false };
      assert.deepEqual(await (await again()).add(toPush('a', { key })), known);
      const [entry] = spool.entries();
      assert.ok(entry);
      await spool.remove(entry);
      const [marker = ''] = await readdir(join(folder, 'keys'));
      assert.equal((await stat(join(folder, 'keys', marker))).size, 0);
      assert.ok(!marker.includes('order'));
      assert.deepEqual(await spool.add(toPush('a', { key })), known);
      assert.deepEqual(await (await again()).add(toPush('a', { key })), known);
      assert.equal(spool.count, 0);
    });

    it('is refused for another body', async (t) => {
      const { spool } = await startSpool(t);
      await spool.add(toPush('a', { key }));
      await assert.rejects(spool.add(toPush('b', { key })), KeyReusedError);
      const [entry] = spool.entries();
      assert.ok(entry);
      await spool.remove(entry);
      await assert.rejects(spool.add(toPush('b', { key })), KeyReusedError);
    });

    it('is forgotten a day after the delivery, and at once where there was none', async (t) => {
      const { spool, clock, folder } = await startSpool(t);
      const { id } = await spool.add(toPush('a', { key }));
      const [entry] = spool.entries();
      assert.ok(entry);
      await spool.remove(entry);
      clock.set(clock.nowSeconds() + KEY_LIFETIME_SECONDS + 1);
      await spool.forgetOldKeys();
      assert.deepEqual(await readdir(join(folder, 'keys')), []);
      const again = await spool.add(toPush('a', { key }));
      assert.ok(again.isNew && again.id !== id);
      const [failing] = spool.entries();
      assert.ok(failing);
      await spool.setAside(failing);
      assert.equal((await spool.add(toPush('a', { key }))).isNew, true);
    });

    it('differs by path', () => assert.notEqual(toKeyHash('/a', 'bc'), toKeyHash('/ab', 'c')));
  });
});
