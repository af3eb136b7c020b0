import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { after, before, test } from 'node:test';
import { startChild, waitUntilReady } from '../../support/child.ts';
import { startRedis, type RedisProcess } from '../../support/processes.ts';

/** One command over a connection of its own; resolves with the first line, or '' when nothing comes within `waitMs`. */
async function ask(port: number, command: string, waitMs = 5_000): Promise<string> {
  const socket = connect(port, '127.0.0.1').setTimeout(waitMs);
  socket.once('timeout', () => socket.end().emit('data', ''));
  socket.write(`${command}\r\n`);
  const [answer] = (await once(socket, 'data')) as [Buffer | string];
  socket.destroy();
  return answer.toString().trim();
}

let redis: RedisProcess;
before(async () => {
  redis = await startRedis();
});
after(() => redis.stop());

test('a Redis answers, is silent while paused, and answers again', async () => {
  assert.equal(await ask(redis.port, 'SET colour blue'), '+OK');
  redis.pause();
  assert.equal(await ask(redis.port, 'PING', 200), '');
  redis.resume();
  assert.equal(await ask(redis.port, 'GET colour'), '$4\r\nblue');
});

test('a killed Redis refuses, and comes back empty on the same port as another process', async () => {
  const { pid } = redis;
  await redis.kill();
  await assert.rejects(ask(redis.port, 'PING'), { code: 'ECONNREFUSED' });
  await redis.restart();
  assert.notEqual(redis.pid, pid);
  assert.equal(await ask(redis.port, 'GET colour'), '$-1');
});

test('a Redis told to keep a log has its data after a restart', async () => {
  const durable = await startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] });
  try {
    await ask(durable.port, 'SET colour green');
    await durable.kill();
    await durable.restart();
    assert.equal(await ask(durable.port, 'GET colour'), '$5\r\ngreen');
  } finally {
    await durable.stop();
  }
});

test('a process that ends before it is ready rejects with what it printed', async () => {
  const script = 'console.log("came up"); console.error("no key"); process.exitCode = 3';
  const child = await startChild({ command: process.execPath, args: ['-e', script], cwd: tmpdir() });
  await assert.rejects(
    waitUntilReady(child, () => Promise.resolve(false), 10_000),
    (error: Error) =>
      /ended before/.test(error.message) && /came up/.test(error.message) && /no key/.test(error.message),
  );
  assert.deepEqual(await child.exited, { code: 3, signal: null });
});

test('a process sees PATH and what it was given, nothing else', async () => {
  process.env['COUNTERSIGN_ADMIN_TOKEN'] = 'of the test process';
  const script = 'console.log(JSON.stringify(process.env))';
  const args = ['-e', script];
  const child = await startChild({ command: process.execPath, args, cwd: tmpdir(), env: { COUNTERSIGN_HOST: 'x' } });
  await child.exited;
  delete process.env['COUNTERSIGN_ADMIN_TOKEN'];
  assert.deepEqual(JSON.parse(child.stdout()), { PATH: process.env['PATH'], COUNTERSIGN_HOST: 'x' });
});

test('a process that does not heed SIGTERM is killed', async () => {
  const script = 'process.on("SIGTERM", () => undefined); setInterval(() => undefined, 1000); console.log("up")';
  const child = await startChild({ command: process.execPath, args: ['-e', script], cwd: tmpdir() });
  await waitUntilReady(child, () => Promise.resolve(child.stdout() !== ''), 10_000);
  assert.deepEqual(await child.stop(50), { code: null, signal: 'SIGKILL' });
});
