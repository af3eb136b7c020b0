import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { type CountersignProcess, createTempFolder, startCountersign } from '../support/processes.ts';
import { openRefused } from '../http/sessions/socket-under-test.ts';
import { type Grant, readHistory, send, talk } from './client-calls.ts';
import { type Client, CLIENTS, IDENTITY } from './published-clients.ts';

const execute = promisify(execFile);

const UUID = /[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}/.source;
const ISO_DATE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const REPLAY_BODY = '{"errors":[{"msg":"error verifying the jwt: possibly a replay","code":401}]}';

function assertGrant({ authorization, userInfo }: Grant, clientId: string, sub: string): void {
  assert.deepEqual(Object.keys(authorization), ['accessToken', 'token_type', 'issuedDate', 'expiresDate']);
  assert.equal(authorization.token_type, 'bearer');
  assert.match(authorization.issuedDate, ISO_DATE);
  assert.match(authorization.expiresDate, ISO_DATE);
  assert.equal(Date.parse(authorization.expiresDate) - Date.parse(authorization.issuedDate), 3_600_000);
  const { userId = '', accountId = '', orgId = '', managedBy, ...rest } = userInfo;
  assert.match(userId, new RegExp(`^u-${UUID}$`));
  assert.match(orgId, new RegExp(`^o-${UUID}$`));
  assert.notEqual(accountId, '');
  assert.equal(managedBy, accountId);
  assert.deepEqual(rest, { identity: `${clientId}/${sub}`, enrollType: 'free', fName: '', lName: '' });
}

const readPayload = (jwt: string): Record<string, unknown> =>
  JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>;

/** The lines of the banner that are there to be pasted, with the spaces before them. */
function readCurlLines(stdout: string): string[] {
  const lines = stdout.split('\n');
  const first = lines.indexOf('Mint, exchange, ask:') + 1;
  assert.ok(first > 0, stdout);
  return lines.slice(first, first + 3);
}

async function runBanner(stdout: string): Promise<{ jwt: string; bearer: string; answer: Record<string, unknown> }> {
  const lines = readCurlLines(stdout);
  const { stdout: printed, stderr } = await execute('bash', ['-c', lines.join('\n')]);
  assert.equal(stderr, '');
  const [jwt = '', bearer = '', answer = ''] = printed.split('\n');
  return { jwt, bearer, answer: JSON.parse(answer) as Record<string, unknown> };
}

describe('the published mobile clients and the banner, against one start', () => {
  let folder: string;
  let folders: Readonly<Record<string, string>>;
  let countersign: CountersignProcess;
  /** Everything that no log may hold, by what it is. */
  const secrets = new Map<string, string>();
  const keep = (what: string, value: string): string => {
    assert.ok(value.length >= 20, `${what} is there`);
    secrets.set(`${what} ${secrets.size}`, value);
    return value;
  };

  before(async () => {
    folder = await createTempFolder();
    folders = { COUNTERSIGN_DATA_DIR: join(folder, 'data'), COUNTERSIGN_KEYS_DIR: join(folder, 'keys') };
    countersign = await startCountersign(['start'], { ...folders, COUNTERSIGN_LOG_LEVEL: 'trace' });
  });
  after(async () => {
    await countersign?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  for (const [name, { mint, exchange, start, history, socket, sub }] of Object.entries(CLIENTS)) {
    it(`${name}: from a name to a bearer, and no second time, to a socket and back after a drop`, async () => {
      const { issuerUrl, idproxyUrl } = countersign;
      const minted = await send(issuerUrl, mint);
      assert.equal(minted.status, 200, minted.text);
      assert.deepEqual(Object.keys(JSON.parse(minted.text) as object), ['jwt']);
      const jwt = keep('JWT', (JSON.parse(minted.text) as { jwt: string }).jwt);
      const [, payload = '', signature = ''] = jwt.split('.');
      // A log that cuts long texts would still hold their beginning.
      keep('payload', payload.slice(0, 40));
      keep('signature', signature);
      const claims = readPayload(jwt);
      assert.match(String(claims['sub']), sub);

      const granted = await send(idproxyUrl, exchange, jwt);
      assert.equal(granted.status, 200, granted.text);
      assert.equal(granted.type, 'application/json; charset=utf-8');
      const grant = JSON.parse(granted.text) as Grant;
      assertGrant(grant, String(claims['iss']), String(claims['sub']));
      const { accessToken, token_type: scheme } = grant.authorization;
      keep('bearer', accessToken);

      const replayed = await send(idproxyUrl, exchange, jwt);
      assert.deepEqual(replayed, { status: 401, type: 'application/json; charset=utf-8', text: REPLAY_BODY });

      const withoutHeader = await send(idproxyUrl, start, accessToken);
      assert.equal(withoutHeader.status, 401, 'the field in the body is no credential');
      const startSocket = async (): Promise<{ url: string; nonce?: string }> => {
        const started = await send(idproxyUrl, start, accessToken, `${scheme} ${accessToken}`);
        assert.equal(started.status, 200, started.text);
        const answer = JSON.parse(started.text) as { url: string; nonce?: string };
        keep('sid', new URL(answer.url).searchParams.get('sid') ?? '');
        assert.equal('nonce' in answer, 'x-rtm-v' in start.headers);
        if (answer.nonce !== undefined) keep('nonce', answer.nonce);
        return answer;
      };
      // A socket, and one more after a drop: the same bearer, the same JWT, a new URL.
      const questions = [`${name}: can you hear me?`, `${name}: and now?`];
      for (const question of questions) {
        const { url, nonce = '' } = await startSocket();
        const protocols = socket.toProtocols(jwt, nonce);
        await talk(socket.toUrl(url), protocols, question);
        assert.equal((await openRefused(socket.toUrl(url), protocols)).status, 401, 'a URL is used once');
      }
      const said = await readHistory(`${idproxyUrl}${history}`, `${scheme} ${accessToken}`);
      assert.deepEqual(
        said.filter((text) => text.includes(`${name}:`)),
        questions
          .flatMap((question) => [question, `${question} (again)`])
          .flatMap((text) => [text, `You said: ${text}`]),
      );
    });
  }

  it('Android: presents the same JWT at each of five reconnects, where its app has a window for that', async () => {
    const { Android } = CLIENTS;
    assert.ok(Android);
    const { mint, exchange, start, history, socket } = Android;
    const { issuerUrl, idproxyUrl } = countersign;
    const jwt = keep('JWT', (JSON.parse((await send(issuerUrl, mint)).text) as { jwt: string }).jwt);
    const setWindow = async (reuseWindowSeconds: number): Promise<void> => {
      const token = /admin token[^:]*: (\S+)/.exec(countersign.stdout())?.[1] ?? '';
      const response = await fetch(`${idproxyUrl}/admin/apps/${String(readPayload(jwt)['iss'])}`, {
        method: 'PATCH',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ reuseWindowSeconds }),
      });
      assert.equal(response.status, 200);
    };
    await setWindow(60);
    const bearers = new Set<string>();
    const words = Array.from({ length: 6 }, (_, index) => `reconnect ${index}`);
    for (const text of words) {
      const granted = await send(idproxyUrl, exchange, jwt);
      assert.equal(granted.status, 200, granted.text);
      const { accessToken } = (JSON.parse(granted.text) as Grant).authorization;
      bearers.add(keep('bearer', accessToken));
      const started = await send(idproxyUrl, start, accessToken, `bearer ${accessToken}`);
      const { url, nonce = '' } = JSON.parse(started.text) as { url: string; nonce?: string };
      await talk(socket.toUrl(url), socket.toProtocols(jwt, keep('nonce', nonce)), text);
    }
    assert.equal(bearers.size, 1, 'one session for all of them');
    const said = await readHistory(`${idproxyUrl}${history}`, `bearer ${[...bearers].join('')}`);
    const echoes = said.filter((text) => /^You said: reconnect \d$/.test(text));
    assert.deepEqual(
      echoes,
      words.map((text) => `You said: ${text}`),
      'one conversation',
    );
    await setWindow(0);
  });

  it('keeps the same user id for the same name, another one for each anonymous user', async () => {
    const toUserId = async ({ mint, exchange }: Client): Promise<string> => {
      const { jwt } = JSON.parse((await send(countersign.issuerUrl, mint)).text) as { jwt: string };
      const { userInfo } = JSON.parse((await send(countersign.idproxyUrl, exchange, jwt)).text) as Grant;
      return userInfo['userId'] ?? '';
    };
    const { Android, 'React Native': reactNative, 'iOS, an anonymous user': anonymous } = CLIENTS;
    assert.ok(Android && reactNative && anonymous);
    assert.equal(await toUserId(Android), await toUserId(reactNative));
    assert.notEqual(await toUserId(anonymous), await toUserId(anonymous));
  });

  it("prints three lines that work as pasted: on the first run the third introspects with the admin's token", async () => {
    const stdout = countersign.stdout();
    keep('admin token', /admin token[^:]*: (\S+)/.exec(stdout)?.[1] ?? '');
    const { jwt, bearer, answer } = await runBanner(stdout);
    keep('JWT', jwt);
    keep('bearer', bearer);
    const { active, sub, client_id: clientId } = answer;
    assert.deepEqual({ active, sub, clientId }, { active: true, sub: IDENTITY, clientId: readPayload(jwt)['iss'] });
  });

  it('logs every request and none of the secrets, wherever they were sent', async () => {
    const { key } = JSON.parse(await readFile(join(countersign.keysDir, 'demo-client-HS256.json'), 'utf8')) as {
      key: string;
    };
    keep('client secret', key);
    const [, jwt = ''] = [...secrets].find(([what]) => what.startsWith('JWT')) ?? [];
    const [, bearer = ''] = [...secrets].find(([what]) => what.startsWith('bearer')) ?? [];
    const strays = {
      'in the query': fetch(`${countersign.idproxyUrl}/authorize?assertion=${jwt}`, { method: 'POST' }),
      'a bearer in the query': fetch(`${countersign.idproxyUrl}/api/1.1/userinfo?access_token=${bearer}`),
      'as a credential': fetch(`${countersign.idproxyUrl}/api/1.1/userinfo`, {
        headers: { authorization: `Bearer ${jwt}` },
      }),
      'in a broken body': fetch(`${countersign.idproxyUrl}/authorize`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: `{"assertion":"${jwt}"`,
      }),
    };
    for (const [where, request] of Object.entries(strays)) {
      assert.ok([400, 401].includes((await request).status), where);
    }
    await countersign.stop();
    const lines = countersign
      .stdout()
      .split('\n')
      .filter((line) => line.startsWith('{'));
    const requests = lines.map((line) => JSON.parse(line) as { path?: string; status?: number; failure?: string });
    const count = (path: string, status: number): number =>
      requests.filter((request) => request.path === path && request.status === status).length;
    assert.equal(count('/api/oAuth/token/jwtgrant', 200) + count('/api/1.1/oAuth/token/jwtgrant', 200), 14);
    assert.equal(count('/api/oAuth/token/jwtgrant', 401) + count('/api/1.1/oAuth/token/jwtgrant', 401), 4);
    assert.equal(count('/oauth/introspect', 200), 1);
    assert.equal(requests.filter(({ failure }) => failure === 'replayed').length, 4);

    assert.ok(secrets.size >= 20, 'there is something to look for');
    const log = lines.join('\n') + countersign.stderr();
    for (const [what, value] of secrets) assert.ok(!log.includes(value), `${what} is in the log`);
  });

  it('asks userinfo on a later run, when there is no admin token to show', async () => {
    countersign = await startCountersign(['start'], folders);
    const stdout = countersign.stdout();
    assert.doesNotMatch(stdout, /admin token/);
    assert.match(readCurlLines(stdout)[2] ?? '', /\/api\/1\.1\/userinfo/);
    const { jwt, answer } = await runBanner(stdout);
    assert.match(String(answer['userId']), new RegExp(`^u-${UUID}$`));
    const { sub, clientId, isAnonymous } = answer;
    assert.deepEqual(
      { sub, clientId, isAnonymous },
      { sub: IDENTITY, clientId: readPayload(jwt)['iss'], isAnonymous: false },
    );
  });
});
