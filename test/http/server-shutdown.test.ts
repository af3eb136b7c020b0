import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';

import express from 'express';

import { SHUTDOWN_GRACE_MS, startServer } from '../../src/http/server.ts';

test('a connection on which nothing was ever said does not hold up the end', async () => {
  const server = await startServer(express(), { host: '127.0.0.1', port: 0 });
  const silent = connect(server.port, '127.0.0.1');
  await once(silent, 'connect');
  // An answer on another connection: the server knows the silent one by then.
  await (await fetch(server.url)).text();
  const ended = once(silent, 'close');
  const startedAt = performance.now();
  await server.close();
  assert.ok(performance.now() - startedAt < SHUTDOWN_GRACE_MS / 2);
  await ended;
});
