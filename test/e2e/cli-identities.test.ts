import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { createClaims, signToken } from '../support/assertions.ts';
import { type Finished, runCountersign } from '../support/processes.ts';
import { type Json, makeFolder, post, start, toFolders } from './cli-processes.ts';

const SUBJECT = 'alice@example.com';
const NOBODY = 'u-0b63a6f0-3d3c-8f0e-9d51-7f6d2a9e4c11';

async function run(args: readonly string[], env: Record<string, string>, input = ''): Promise<Json> {
  const ended: Finished = await runCountersign(args, env, input);
  assert.equal(ended.code, 0, ended.stderr);
  if (args[0] === 'identities') assertAudited(ended.stderr, args);
  else assert.equal(ended.stderr, '');
  return JSON.parse(ended.stdout) as Json;
}

/** What was done, to whom, when; and never the name of a person. */
function assertAudited(line: string, [command, action, id]: readonly string[]): void {
  const { time, ...rest } = JSON.parse(line) as Json;
  assert.match(String(time), /^\d{4}-\d\d-\d\dT/);
  assert.deepEqual(rest, { act: `${command} ${action}`, id, msg: 'admin act' });
}

/** An app from the command line, and how its users sign in at a running server. */
async function createApp(env: Record<string, string>, url: string, settings: readonly string[] = []) {
  const app = await run(['apps', 'create', '--name', 'a', '--algorithm', 'HS256', ...settings], env);
  const [clientId, secret] = [String(app['clientId']), String(app['clientSecret'])];
  return {
    clientId,
    exchange: async (claims: Json): Promise<{ status: number; bearer: string }> => {
      const signed = createClaims(clientId, Date.now() / 1_000, { sub: SUBJECT, ...claims });
      const assertion = signToken({ alg: 'HS256' }, signed, 'HS256', secret);
      const { status, body } = await post(`${url}/authorize`, { assertion });
      return { status, bearer: String(body['access_token']) };
    },
  };
}

async function isAlive(url: string, bearer: string): Promise<boolean> {
  const { status } = await fetch(`${url}/api/1.1/userinfo`, { headers: { authorization: `bearer ${bearer}` } });
  return status === 200;
}

describe('countersign identities', () => {
  it('registers, finds, exports and erases users while a server runs on the same folder, which obeys', async (t) => {
    const server = await start(t, ['idproxy']);
    const env = { COUNTERSIGN_DATA_DIR: server.dataDir, COUNTERSIGN_KEYS_DIR: server.keysDir };
    const flags = ['--auto-register', 'false', '--allow-anonymous', 'true'];
    const { clientId, exchange } = await createApp(env, server.idproxyUrl, flags);
    assert.equal((await exchange({})).status, 401);
    assert.deepEqual(await run(['identities', 'list', clientId], env), { identities: [] });

    const registered = await run(['identities', 'register', clientId, '--subject-file', '-'], env, `${SUBJECT}\n`);
    const { createdAt, userId: id, ...rest } = registered;
    const userId = String(id);
    assert.deepEqual(rest, { clientId, subject: SUBJECT, isAnonymous: false });
    assert.ok(Math.abs(Date.parse(String(createdAt)) - Date.now()) < 20_000);
    const file = join(server.dataDir, 'subject.txt');
    await writeFile(file, SUBJECT);
    const again = await runCountersign(['identities', 'register', clientId, '--subject-file', file], env);
    assert.equal(again.code, 1);
    assert.match(
      again.stderr,
      /^\{.*"identities register".*\}\ncountersign identities: this user is registered already\n$/,
    );
    assert.deepEqual(await run(['identities', 'show', userId], env), registered);

    const { status, bearer } = await exchange({});
    assert.deepEqual([status, await isAlive(server.idproxyUrl, bearer)], [200, true]);
    const found = await run(['identities', 'look-up', clientId, '--subject-file', file], env);
    assert.equal(found['userId'], userId);
    assert.ok(found['conversation']);
    const { notIncluded, ...exported } = await run(['identities', 'export', userId], env);
    assert.deepEqual(exported, { identity: found, messages: [] });
    assert.ok(Array.isArray(notIncluded) && notIncluded.length > 0);

    const anonymous = await exchange({ isAnonymous: true });
    const nameless = await run(['identities', 'look-up', clientId, '--subject-file', file, '--anonymous'], env);
    assert.equal(nameless['isAnonymous'], true);
    await run(['identities', 'register', clientId, '--subject-file', '-'], env, 'bob');
    const one = await run(['identities', 'list', clientId, '--limit', '1'], env);
    const two = await run(['identities', 'list', clientId, '--limit', '1', '--cursor', String(one['next'])], env);
    const listed = [one, two].flatMap(({ identities }) => identities as Json[]).map(({ subject }) => String(subject));
    assert.deepEqual([listed.sort(), 'next' in two], [[SUBJECT, 'bob'], false]);

    assert.deepEqual(await run(['identities', 'erase', userId], env), { erased: userId });
    assert.equal(await isAlive(server.idproxyUrl, bearer), false);
    assert.equal(await isAlive(server.idproxyUrl, anonymous.bearer), true);
    assert.equal((await exchange({})).status, 401);
    for (const action of ['show', 'export', 'erase']) {
      const gone = await runCountersign(['identities', action, userId], env);
      assert.equal(gone.code, 1);
      assert.match(gone.stderr, /^\{.*\}\ncountersign identities: there is no such user\n$/);
    }
    for (const text of [server.stdout(), server.stderr()]) assert.ok(!text.includes(SUBJECT));
  });

  it('deleting an app erases its users', async (t) => {
    const server = await start(t, ['idproxy']);
    const env = { COUNTERSIGN_DATA_DIR: server.dataDir, COUNTERSIGN_KEYS_DIR: server.keysDir };
    const [app, other] = [await createApp(env, server.idproxyUrl), await createApp(env, server.idproxyUrl)];
    const [one, two] = [await app.exchange({}), await other.exchange({})];
    await run(['apps', 'delete', app.clientId], env);
    assert.deepEqual(await run(['identities', 'list', app.clientId], env), { identities: [] });
    assert.equal(await isAlive(server.idproxyUrl, one.bearer), false);
    assert.equal(await isAlive(server.idproxyUrl, two.bearer), true);
    const listed = await run(['identities', 'list', other.clientId], env);
    assert.equal((listed['identities'] as Json[]).length, 1);
  });

  it('says how it is used, and what is wrong', async (t) => {
    const env = toFolders(await makeFolder(t));
    const usage = [
      [],
      ['none'],
      ['list'],
      ['list', 'cs-1', 'more'],
      ['list', 'cs-1', '--anonymous'],
      ['show'],
      ['show', NOBODY, '--limit', '5'],
      ['erase', NOBODY, '--subject-file', '-'],
      ['list', 'cs-1', '--nonsense'],
      ['register', 'cs-1'],
      ['register', 'cs-1', '--subject-file', '/nowhere/at/all'],
      ['register', 'cs-1', '--subject-file', '-', '--anonymous'],
      ['look-up', 'cs-1'],
    ];
    for (const args of usage) {
      const ended = await runCountersign(['identities', ...args], env);
      assert.deepEqual([ended.code, ended.stdout], [2, ''], args.join(' '));
    }
    const failures: readonly (readonly [readonly string[], string, RegExp])[] = [
      [['register', 'cs-1', '--subject-file', '-'], 'alice', /no app has this client id/],
      [['register', 'cs-1', '--subject-file', '-'], '', /"subject" must have at least 1 character/],
      [['look-up', 'cs-1', '--subject-file', '-'], 'nonsense\nof two lines', /"subject" has characters/],
      [['list', 'cs-1', '--limit', '0'], '', /"limit" must be at least 1/],
      [['list', 'cs-1', '--cursor', 'nonsense'], '', /"cursor" must be the "next" of an earlier answer/],
      [['show', 'nonsense'], '', /there is no such user/],
    ];
    for (const [args, input, msg] of failures) {
      const ended = await runCountersign(['identities', ...args], env, input);
      assert.deepEqual([ended.code, ended.stdout], [1, ''], args.join(' '));
      assert.match(ended.stderr, msg);
      assert.doesNotMatch(ended.stderr, /nonsense/);
    }
  });
});
