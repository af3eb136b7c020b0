import assert from 'node:assert/strict';
import { test } from 'node:test';

import { type ErrorCode, ERRORS } from '../../src/core/errors.ts';
import type { JsonObject } from '../../src/core/json.ts';
import { systemClock } from '../../src/core/clock.ts';
import { loadServiceIdentities } from '../../src/gateway/service-calls/identities.ts';
import { MAX_STALE_SECONDS } from '../../src/gateway/watched-copy.ts';
import { createLogger } from '../../src/http/access-log.ts';
import { Secret } from '../../src/core/secret.ts';
import { createRsaPrivateKeyPem, parseRsaPrivateKey, toPublicJwk } from '../../src/jose/jwk.ts';
import { createIdentities } from '../../src/sessions/identity.ts';
import { createBearer } from '../../src/idproxy/bearer.ts';
import { createRsaPair } from '../support/assertions.ts';
import { type AppUnderTest, BACKENDS, startIdproxyUnderTest } from '../support/idproxy-under-test.ts';
import {
  listCodes,
  listOperations,
  type Operation,
  type RawAnswer,
  readOpenapi,
  startOpenapiJudge,
} from '../support/openapi.ts';
import { createAttempt } from '../contract/attempts.ts';
import { startIssuer } from './issuer/issuer-under-test.ts';
import { answerJson, startUpstream } from './issuer/upstream-under-test.ts';
import {
  type Call,
  createWorld,
  GOOD_CALLS,
  send,
  signIn,
  toCredential,
  toFormCall,
  toJsonCall,
  type World,
} from './openapi-calls.ts';
import { startCallerPort, startServices } from './openapi-caller-port.ts';
import { expectAppKeyRefusals, toBrokenAppKeyCalls } from './openapi-app-keys.ts';
import { BROKEN_PLATFORM_KEY_CALLS, expectPlatformKeyRefusals } from './openapi-platform-keys.ts';
import { expectDpop } from './openapi-dpop.ts';
import { breakGateway, expectGatewayRefusals, GATEWAY_UNFORESEEN } from './openapi-gateway.ts';
import {
  expectRelayFailures,
  expectRelayUnavailable,
  expectServiceCallRefusals,
  gatewayOf,
  OVERSIZED_CALL,
  SERVICE_CALLS_UNFORESEEN,
} from './openapi-service-calls.ts';
import { createCertificates } from './service-calls-under-test.ts';
import { type Apps, BAD_BODIES, openContended, REFUSED, toGrantBody, toSentence } from './openapi-refusals.ts';

const METRICS_TOKEN = 'the-metrics-token-of-the-tests';
const EXCHANGES = ['authorize', 'grantJwt', 'grantJwtVersioned', 'requestToken'];
const MINTS = ['mintAssertion', 'mintAssertionForMobile'];

/** What no request can bring about: these read nothing that could be broken. */
const UNFORESEEN = [
  'revokeToken 500',
  'deleteApp 500',
  'registerIdentity 500',
  'eraseIdentity 500',
  'listAudit 500',
  ...GATEWAY_UNFORESEEN,
  ...SERVICE_CALLS_UNFORESEEN,
];
/** More header fields than a server takes, in bytes. */
const OVERSIZED_HEADERS: Readonly<Record<string, number>> = { issuer: 20_000, gateway: 30_000, idproxy: 70_000 };

test('real answers are as the description says', async (t) => {
  const document = await readOpenapi();
  const operations = listOperations(document);
  const judge = await startOpenapiJudge(document);
  t.after(() => judge.close());
  const seen = new Set<string>();
  const seenCodes = new Set<string>();

  const find = (id: string): Operation => {
    const operation = operations.get(id);
    assert.ok(operation, id);
    return operation;
  };
  const startWorld = async (...args: Parameters<typeof createWorld>): Promise<World> => {
    const world = await createWorld(...args);
    t.after(() => world.idproxy.close());
    return world;
  };
  const certificates = await createCertificates();
  t.after(() => certificates.remove());
  const services = await startServices(t, certificates);
  /** The same with a gateway. */
  const startWholeWorld = async (...args: Parameters<typeof createWorld>): Promise<World> => {
    const half = await startWorld(...args);
    return { ...half, gateway: await startCallerPort(t, half.idproxy, certificates, services) };
  };
  const serviceIdentities = await loadServiceIdentities(certificates.identities, {
    clock: systemClock,
    logger: createLogger('silent'),
  });
  t.after(() => serviceIdentities.close());
  const world = await startWholeWorld(BACKENDS.embedded, { serviceIdentities });
  const issuer = await startIssuer(t);
  const toBase = (server: string | undefined, { idproxy, gateway }: Pick<World, 'idproxy' | 'gateway'>): string =>
    server === 'idproxy' ? idproxy.url : server === 'gateway' ? (gateway ?? gatewayOf(world)).url : issuer.url;
  /** Where an operation is tried that several servers have: at the idproxy. */
  const toServer = ({ servers }: Operation): string | undefined =>
    servers.includes('idproxy') ? 'idproxy' : servers[0];
  const baseUrl = (operation: Operation, at: Pick<World, 'idproxy' | 'gateway'> = world): string =>
    toBase(toServer(operation), at);

  /** Judges an answer that should be this failure. */
  const expectFailure = async (operation: Operation, answer: RawAnswer, code: string): Promise<void> => {
    const { operationId, responses } = operation;
    const where = `${operationId} ${code}: ${answer.status} ${answer.text}`;
    assert.ok(listCodes(responses[answer.status] ?? { description: '' }).includes(code), where);
    await judge.checkAnswer(operation, answer);
    const body = JSON.parse(answer.text) as { errors: [{ msg: string; code: number }] } & {
      error: string;
      error_description: string;
    };
    const isOauth = operation.path.startsWith('/oauth/');
    assert.match(isOauth ? body.error_description : body.errors[0].msg, toSentence(code as ErrorCode, isOauth), where);
    if (!isOauth) assert.equal(body.errors[0].code, answer.status, where);
    seen.add(`${operationId} ${answer.status}`);
    seenCodes.add(code);
  };
  const expectStatus = async (operation: Operation, answer: RawAnswer, status: number): Promise<void> => {
    assert.equal(answer.status, status, `${operation.operationId}: ${answer.text}`);
    await judge.checkAnswer(operation, answer);
    seen.add(`${operation.operationId} ${status}`);
  };
  /** Sends the operation's good request, or `call`, with the credential it needs. */
  const sendGood = async (operation: Operation, at: World, call?: Call): Promise<RawAnswer> => {
    const { headers, body, ...rest } = call ?? (await GOOD_CALLS[operation.operationId]?.(at)) ?? {};
    const sent = toJsonCall(body);
    const all = { ...sent, headers: { ...sent.headers, ...toCredential(operation, at), ...headers } };
    return send(baseUrl(operation, at), operation, { ...all, ...rest });
  };
  const documents = ({ responses }: Operation, code: string): boolean =>
    Object.values(responses).some((one) => listCodes(one).includes(code));

  await t.test('successes, by every media type', async () => {
    for (const operation of operations.values()) {
      const { operationId, requestBody } = operation;
      const createCall = GOOD_CALLS[operationId];
      assert.ok(createCall, `${operationId} has a good request`);
      const status = Number(Object.keys(operation.responses).find((one) => one.startsWith('2')) ?? 404);
      const bases = operation.servers.map((server) => toBase(server, world));
      for (const mediaType of Object.keys(requestBody?.content ?? { none: {} })) {
        for (const base of bases) {
          const { body, headers: _, ...rest } = await createCall(world);
          const isForm = mediaType === 'application/x-www-form-urlencoded';
          const sent = body !== undefined && isForm ? toFormCall(body) : toJsonCall(body);
          const headers = { ...sent.headers, ...toCredential(operation, world) };
          if (body !== undefined) await judge.checkRequest(operation, headers, sent.text);
          await expectStatus(operation, await send(base, operation, { ...sent, ...rest, headers }), status);
        }
      }
    }
    const inactive = await sendGood(find('introspectToken'), world, { body: { token: 'unknown' } });
    assert.equal(inactive.text, '{"active":false}');
    await expectStatus(find('introspectToken'), inactive, 200);
    const { publicKey } = createRsaPair();
    const rsa = await sendGood(find('createApp'), world, { body: { name: 'RSA', algorithm: 'RS256', publicKey } });
    await expectStatus(find('createApp'), rsa, 201);
    assert.match(rsa.text, /"publicKey":"-----BEGIN PUBLIC KEY-----/);
  });

  await t.test('bodies that are refused', async () => {
    for (const operation of operations.values()) {
      for (const [code, { headers, text }] of Object.entries(BAD_BODIES)) {
        if (operation.requestBody === undefined || !documents(operation, code)) continue;
        const all = { ...headers, ...toCredential(operation, world) };
        const isLarge = operation.operationId === 'callService' && code === 'body_too_large';
        const sent = { headers: all, text: isLarge ? OVERSIZED_CALL : text, clientId: world.app.clientId };
        await expectFailure(operation, await send(baseUrl(operation), operation, sent), code);
      }
    }
  });

  await t.test('header fields that are too large', async () => {
    for (const operation of operations.values()) {
      const size = OVERSIZED_HEADERS[toServer(operation) ?? ''] ?? 0;
      const answer = await send(baseUrl(operation), operation, { headers: { 'x-long': 'x'.repeat(size) } });
      await expectStatus(operation, answer, 431);
    }
  });

  await t.test('callers without the right credential', async () => {
    for (const operation of operations.values()) {
      const { operationId, security } = operation;
      if (security.length === 0 || security.some((one) => Object.keys(one).length === 0)) continue;
      const kind = documents(operation, 'bearer_missing') ? 'bearer' : 'credential';
      const sent = toJsonCall(operation.requestBody && { token: 'x' });
      for (const [why, headers] of Object.entries({ missing: {}, invalid: { authorization: 'Bearer nonsense' } })) {
        const answer = await send(baseUrl(operation), operation, { ...sent, headers: { ...sent.headers, ...headers } });
        await expectFailure(operation, answer, `${kind}_${why}`);
      }
      assert.ok(seen.has(`${operationId} 401`));
    }
    const guarded = await startIssuer(t, {}, { metricsToken: new Secret(METRICS_TOKEN) });
    const metrics = find('getMetrics');
    await expectFailure(metrics, await send(guarded.url, metrics, {}), 'credential_missing');
    await expectFailure(
      metrics,
      await send(guarded.url, metrics, { headers: { authorization: 'Bearer x' } }),
      'credential_invalid',
    );
    await expectStatus(
      metrics,
      await send(guarded.url, metrics, { headers: { authorization: `Bearer ${METRICS_TOKEN}` } }),
      200,
    );
  });

  await t.test('assertions that are refused', async () => {
    const { idproxy, app } = world;
    const register = (settings: JsonObject): Promise<AppUnderTest> =>
      idproxy.register({ algorithm: 'HS256', ...settings });
    const apps: Apps = {
      open: app,
      encrypted: await register({ jwe: { required: true } }),
      closed: await register({ autoRegister: false }),
      disabled: await register({ enabled: false }),
      strict: await register({ requireDpop: true }),
    };
    const bound = await register({ bots: ['st-1'] });
    const merging = await register({ allowAnonymous: true, merge: { requireProof: true } });
    assert.equal((await idproxy.authorize(merging.sign({ sub: 'visitor', isAnonymous: true }))).status, 200);
    for (const operation of EXCHANGES.map(find)) {
      const present = (assertion: string, more: JsonObject = {}): Promise<RawAnswer> =>
        sendGood(operation, world, { body: { ...toGrantBody(operation.operationId, assertion), ...more } });
      for (const [code, create] of Object.entries(REFUSED)) {
        await expectFailure(operation, await present(create(apps, idproxy.clock.nowSeconds())), code);
      }
      const twice = app.sign();
      assert.equal((await present(twice)).status, 200);
      await expectFailure(operation, await present(twice), 'replayed');
      const unproven = merging.sign({ identityToMerge: 'visitor' });
      await expectFailure(operation, await present(unproven), 'merge_unproven');
      if (!documents(operation, 'bot_refused')) continue;
      await expectFailure(operation, await present(bound.sign(), { botInfo: { taskBotId: 'st-2' } }), 'bot_refused');
    }
  });

  await t.test('the token endpoint', async () => {
    const token = find('requestToken');
    const assertion = world.app.sign();
    await expectFailure(
      token,
      await sendGood(token, world, { body: { grant_type: 'password', assertion } }),
      'unsupported_grant_type',
    );
    const scoped = { ...toGrantBody('requestToken', assertion), scope: 'all' };
    await expectFailure(token, await sendGood(token, world, { body: scoped }), 'invalid_scope');
  });

  await t.test('grants, and keys that bearers are bound to', () =>
    expectDpop({ find, sendGood, expectFailure, expectStatus }, world),
  );

  await t.test('bearers of an app that may not', async () => {
    const { idproxy } = world;
    const app = await idproxy.register({ algorithm: 'HS256', bots: ['st-1'] });
    const holder = { ...world, bearer: await signIn(idproxy, app) };
    const starts = ['startRealTime', 'startRealTimeVersioned'].map(find);
    const readings = ['readMessages', 'readMessagesVersioned'].map(find);
    for (const start of starts) {
      const refused = await sendGood(start, holder, { body: { botInfo: { taskBotId: 'st-2' } } });
      await expectFailure(start, refused, 'bot_forbidden');
    }
    for (const reading of readings) {
      await expectFailure(reading, await sendGood(reading, holder, { query: { botId: 'st-2' } }), 'bot_forbidden');
      await expectFailure(reading, await sendGood(reading, holder, { query: { limit: '0' } }), 'invalid_request');
    }
    await idproxy.admin('PATCH', `/admin/apps/${app.clientId}`, { requireDpop: true });
    for (const operation of [...starts, ...readings, find('getUserInfo')]) {
      await expectFailure(operation, await sendGood(operation, holder), 'bearer_unbound');
    }
    await idproxy.admin('PATCH', `/admin/apps/${app.clientId}`, { enabled: false });
    for (const operation of [...starts, ...readings, find('getUserInfo')]) {
      await expectFailure(operation, await sendGood(operation, holder), 'client_forbidden');
    }
    const botless = await startWorld(BACKENDS.embedded, { bot: undefined });
    for (const start of starts) await expectFailure(start, await sendGood(start, botless), 'realtime_unavailable');
  });

  await t.test('sessions and bots that cannot be named', async () => {
    const context = find('getSessionContext');
    await expectFailure(context, await sendGood(context, world, { query: {} }), 'invalid_request');
    await expectFailure(context, await sendGood(context, world, { query: { sessionId: 'x' } }), 'session_not_found');
    for (const theme of ['readTheme', 'readThemeVersioned'].map(find))
      await expectFailure(theme, await sendGood(theme, world, { botId: '%ff' }), 'invalid_request');
  });

  await t.test('apps that are not there, cannot be named, or change meanwhile', async () => {
    for (const operation of ['getApp', 'updateApp', 'deleteApp'].map(find)) {
      const body = operation.requestBody && { name: 'Other' };
      await expectFailure(
        operation,
        await sendGood(operation, world, { clientId: 'cs-nobody', ...(body && { body }) }),
        'app_not_found',
      );
      await expectFailure(
        operation,
        await sendGood(operation, world, { clientId: '%ff', ...(body && { body }) }),
        'invalid_request',
      );
    }
    const contended = await startWorld(openContended);
    await expectFailure(find('updateApp'), await sendGood(find('updateApp'), contended), 'app_conflict');
  });

  await t.test('keys of apps that are not there, or that an app cannot do without', async () => {
    await expectAppKeyRefusals({ find, sendGood, expectFailure }, world, await startWorld(openContended));
  });

  await t.test('keys of the platform that are not there, or that it cannot do without', async () => {
    await expectPlatformKeyRefusals({ find, sendGood, expectFailure }, world);
  });

  await t.test('apps whose keys cannot be fetched', async () => {
    const jwksUrl = 'https://keys.example.com/jwks.json';
    const remote = await world.idproxy.register({ algorithm: 'RS256', publicKey: undefined, jwksUrl });
    for (const operation of EXCHANGES.map(find)) {
      const body = toGrantBody(operation.operationId, remote.sign());
      await expectFailure(operation, await sendGood(operation, world, { body }), 'upstream_unavailable');
    }
  });

  await t.test('users who are not there, cannot be named, or are there already', async () => {
    const { clientId } = world.app;
    const nobody = { body: { clientId, subject: 'nobody' } };
    await expectFailure(
      find('lookUpIdentity'),
      await sendGood(find('lookUpIdentity'), world, nobody),
      'identity_not_found',
    );
    for (const operation of ['getIdentity', 'exportIdentity', 'eraseIdentity'].map(find)) {
      await expectFailure(operation, await sendGood(operation, world, { userId: 'u-nobody' }), 'identity_not_found');
      await expectFailure(operation, await sendGood(operation, world, { userId: '%ff' }), 'invalid_request');
    }
    await expectFailure(find('listIdentities'), await sendGood(find('listIdentities'), world, {}), 'invalid_request');
    const noLimit = await sendGood(find('listAudit'), world, { query: { limit: '0' } });
    await expectFailure(find('listAudit'), noLimit, 'invalid_request');
    const register = find('registerIdentity');
    const known = { body: { clientId, subject: 'alice@example.com' } };
    await expectFailure(register, await sendGood(register, world, known), 'identity_exists');
    const homeless = { body: { clientId: 'cs-nobody', subject: 'alice@example.com' } };
    await expectFailure(register, await sendGood(register, world, homeless), 'app_not_found');
  });

  await t.test('connectors and callers that are refused', async () => {
    const contended = await startWorld(openContended);
    await expectGatewayRefusals({ find, sendGood, expectFailure }, world, contended);
  });

  await t.test('service calls', async () => {
    const call = find('callService');
    const streamed = await sendGood(call, world, { body: { url: services.plain, stream: true } });
    assert.equal(streamed.headers.get('content-type'), 'application/octet-stream');
    await expectStatus(call, streamed, 200);
    await expectServiceCallRefusals({ find, sendGood, expectFailure }, world);
  });

  await t.test('relayed requests', async () => {
    for (const code of await expectRelayFailures(gatewayOf(world))) seenCodes.add(code);
  });

  await t.test('the refusals of the issuer', async () => {
    const keys = `mobile:${'0'.repeat(64)}`;
    const proxied = await startIssuer(t, {}, { trustProxy: 1 });
    const closed = await startIssuer(t, { callerAuth: { mode: 'api-key', keys }, allowAnonymous: false });
    const mail = 'alice@example.com';
    const login = await startUpstream(t, answerJson({ identity: 'bob' }));
    const toForward = (url: string) =>
      ({ callerAuth: { mode: 'forward-auth', url, identity: 'json:identity' } }) as const;
    const forward = await startIssuer(t, toForward(login.url));
    const cut = await startUpstream(t, answerJson({}, 500));
    const broken = await startIssuer(t, toForward(cut.url));
    const claims = await startUpstream(t, answerJson({ text: 'x'.repeat(9_000) }));
    const jwk = { ...toPublicJwk(parseRsaPrivateKey(await createRsaPrivateKeyPem())), kid: 'k-1' };
    const generous = await startIssuer(t, {
      jwe: { jwk, alg: 'RSA-OAEP', enc: 'A256GCM' },
      claims: { url: claims.url },
    });
    for (const operation of MINTS.map(find)) {
      const ask = (url: string, body: JsonObject, headers = {}): Promise<RawAnswer> => {
        const sent = toJsonCall(body);
        return send(url, operation, { ...sent, headers: { ...sent.headers, ...headers } });
      };
      const cookie = { cookie: 'session=1' };
      await expectFailure(operation, await ask(closed.url, { identity: mail }), 'credential_missing');
      await expectFailure(
        operation,
        await ask(closed.url, { identity: mail }, { 'x-api-key': 'wrong' }),
        'credential_invalid',
      );
      await expectFailure(operation, await ask(closed.url, { isAnonymous: true }), 'anonymous_forbidden');
      const elsewhere = await ask(proxied.url, { identity: mail }, { 'x-forwarded-for': '203.0.113.9' });
      await expectFailure(operation, elsewhere, 'issuer_not_local');
      await expectFailure(operation, await ask(forward.url, { identity: mail }, cookie), 'identity_mismatch');
      await expectFailure(operation, await ask(broken.url, { identity: mail }, cookie), 'upstream_unavailable');
      await expectFailure(operation, await ask(generous.url, { identity: mail }), 'claims_too_large');
      const refused = await ask(issuer.url, { identity: mail, aud: 'https://elsewhere.example' });
      await expectFailure(operation, refused, 'invalid_request');
    }
  });

  await t.test('too many requests', async () => {
    const limited = await startIdproxyUnderTest(BACKENDS.embedded, { rateLimitPerMinute: 1 });
    t.after(() => limited.close());
    const busyIssuer = await startIssuer(t, { rateLimitPerMinute: 1 });
    for (const operation of operations.values()) {
      const code = ['busy', 'rate_limited'].find((one) => documents(operation, one));
      // The gateway's callers are counted by what they have under way.
      if (code === undefined || toServer(operation) === 'gateway') continue;
      const base = toServer(operation) === 'idproxy' ? limited.url : busyIssuer.url;
      const sent = toJsonCall(operation.requestBody && {});
      await send(base, operation, sent);
      await expectFailure(operation, await send(base, operation, sent), code);
    }
  });

  await t.test('too many exchanges of one app', async () => {
    for (const operation of EXCHANGES.map(find)) {
      const app = await world.idproxy.register({ exchangesPerMinute: 1 });
      const exchange = (): Promise<RawAnswer> =>
        send(world.idproxy.url, operation, toJsonCall(toGrantBody(operation.operationId, app.sign())));
      await exchange();
      await expectFailure(operation, await exchange(), 'client_busy');
    }
  });

  /** An idproxy that has read nothing of its store yet, with the credentials of another one. */
  const startUnused = async (): Promise<World> => {
    const idproxy = await startIdproxyUnderTest();
    t.after(() => idproxy.close());
    return { ...world, idproxy };
  };

  await t.test('a store that does not answer', async () => {
    const lost = await startWholeWorld();
    const calls = new Map<string, Call>();
    for (const { operationId } of operations.values())
      calls.set(operationId, (await GOOD_CALLS[operationId]?.(lost)) ?? {});
    const unused = await startUnused();
    for (const { idproxy } of [lost, unused]) await idproxy.store.close();
    // What the gateway keeps in memory serves on for a while.
    const { clock } = gatewayOf(lost);
    clock.set(clock.nowSeconds() + MAX_STALE_SECONDS + 1);
    for (const operation of operations.values()) {
      if (!documents(operation, 'store_unavailable')) continue;
      const at = operation.operationId === 'getJwks' ? unused : lost;
      await expectFailure(
        operation,
        await sendGood(operation, at, calls.get(operation.operationId)),
        'store_unavailable',
      );
    }
    seenCodes.add(await expectRelayUnavailable(gatewayOf(lost)));
    const readiness = await sendGood(find('getReadiness'), lost);
    await expectStatus(find('getReadiness'), readiness, 503);
    assert.match(readiness.text, /"store":"embedded store: /);
  });

  await t.test('a store that holds something else', async () => {
    const broken = await startWorld();
    const { documents: stored, sessions } = broken.idproxy.store;
    const { key, tag, text: bearer } = createBearer('0000');
    await sessions.exchange({
      tag,
      app: undefined,
      identity: createAttempt().identity,
      session: { key, body: '{', expiresInMs: 60_000 },
    });
    assert.ok(await stored.update('apps', broken.app.clientId, '{}', 1));
    const alice = createIdentities(broken.idproxy.vault.deriveKey('user-id'));
    const { clientId } = broken.app;
    const unreadable = { ...alice.create(clientId, 'carol', false, 0), body: '{' };
    assert.ok(await broken.idproxy.store.identities.create(unreadable));
    const named: Readonly<Record<string, Call>> = {
      ...(await breakGateway(broken.idproxy)),
      ...toBrokenAppKeyCalls(clientId),
      ...BROKEN_PLATFORM_KEY_CALLS,
      lookUpIdentity: { body: { clientId, subject: 'carol' } },
      getIdentity: { userId: `u-${unreadable.id}` },
      exportIdentity: { userId: `u-${unreadable.id}` },
      listIdentities: { query: { clientId } },
    };
    const keyless = await startUnused();
    assert.ok(await keyless.idproxy.store.documents.insert('platform-keys', 'jwe-1', '{}'));
    for (const operation of operations.values()) {
      const { operationId } = operation;
      const isReached =
        documents(operation, 'internal') &&
        operationId !== 'callService' &&
        !UNFORESEEN.includes(`${operationId} 500`) &&
        !MINTS.includes(operationId);
      if (!isReached) continue;
      const isOfKeys = ['getJwks', 'createApp', ...Object.keys(BROKEN_PLATFORM_KEY_CALLS)].includes(operationId);
      const at = isOfKeys ? keyless : { ...broken, bearer };
      await expectFailure(operation, await sendGood(operation, at, named[operationId]), 'internal');
    }
  });

  await t.test('outside of the operations', async () => {
    for (const url of [world.idproxy.url, issuer.url, gatewayOf(world).url]) {
      const answer = await fetch(`${url}/nowhere`);
      assert.equal(answer.status, 404);
      assert.deepEqual(await answer.json(), { errors: [{ msg: ERRORS.not_found.msg, code: 404 }] });
      seenCodes.add('not_found');
    }
    for (const operation of operations.values()) {
      if (operation.servers.length > 1) continue;
      const answer = await fetch(baseUrl(operation) + operation.path.replaceAll(/\{\w+\}/g, 'x'), {
        method: 'PUT',
        headers: toCredential(operation, world),
      });
      assert.equal(answer.status, 405, operation.operationId);
      assert.match(answer.headers.get('allow') ?? '', new RegExp(operation.method));
      seenCodes.add('method_not_allowed');
    }
  });

  await t.test('whatever is documented was seen', () => {
    const documented = [...operations.values()].flatMap(({ operationId, responses }) =>
      Object.keys(responses).map((status) => `${operationId} ${status}`),
    );
    assert.deepEqual(documented.filter((one) => !seen.has(one)).sort(), [...UNFORESEEN].sort());
    const codes = new Set(
      [...operations.values()].flatMap(({ responses }) => Object.values(responses).flatMap(listCodes)),
    );
    for (const code of document['x-failures-outside-operations']) codes.add(code);
    for (const code of document['x-failures-of-relaying']) codes.add(code);
    assert.deepEqual(
      [...codes].filter((code) => !seenCodes.has(code)),
      [],
    );
  });
});
