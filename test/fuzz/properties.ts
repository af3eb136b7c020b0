import assert from 'node:assert/strict';
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';

import * as fc from 'fast-check';

import { AppError, ERRORS } from '../../src/core/errors.ts';
import { isJsonObject, JsonError, type JsonObject, parseJsonObject } from '../../src/core/json.ts';
import { readBody } from '../../src/http/body.ts';
import { checkClaims } from '../../src/jose/claims.ts';
import { parseCompact } from '../../src/jose/compact.ts';
import { TokenError } from '../../src/jose/token-error.ts';
import { signToken } from '../support/assertions.ts';
import { START_AT } from '../support/idproxy-under-test.ts';
import type { MemoryAnswer, MemoryRequest } from '../support/in-memory-request.ts';
import { isAcceptable, POLICY } from './claims-oracle.ts';
import type { FuzzSubject } from './fuzz-subject.ts';
import { mutations, oddValues } from './token-mutations.ts';

/** Something that holds for every input. */
export interface FuzzProperty {
  readonly name: string;
  /** Its part of a run's cases. */
  readonly share: number;
  create(subject: FuzzSubject): fc.IAsyncProperty<unknown> | fc.IProperty<unknown>;
}

const MAX_BODY_BYTES = 65_536;

/** Asserts that a refusal is one of the table's, and the caller's fault. */
function assertRefusal(error: unknown): void {
  if (!(error instanceof AppError)) throw error;
  assert.ok(ERRORS[error.code].status < 500, `refused with ${error.code}`);
}

/** Claims of which any may be odd. */
const oddClaims = (clientId: string): fc.Arbitrary<JsonObject> => {
  const time = fc.oneof(
    fc.integer({ min: START_AT - 4_000, max: START_AT + 8_000 }),
    fc.double({ min: START_AT - 400, max: START_AT + 4_000, noNaN: true }),
    fc.integer({ min: START_AT - 4_000, max: START_AT + 8_000 }).map((seconds) => seconds * 1_000),
    oddValues,
  );
  const name = fc.oneof(fc.constant('alice'), fc.string({ unit: 'binary', maxLength: 300 }), oddValues);
  const parts: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
    exp: time,
    iat: time,
    nbf: time,
    sub: name,
    kore_sub: name,
    jti: name,
    kore_jti: name,
    aud: fc.oneof(fc.constant([POLICY.audiences[0]]), oddValues),
    isAnonymous: fc.oneof(fc.constantFrom<unknown>(true, false, 'true', 'false', 'TRUE'), oddValues),
    identityToMerge: name,
    privateClaims: fc.oneof(fc.dictionary(fc.string(), oddValues, { maxKeys: 3 }), oddValues),
    PrivateClaims: oddValues,
    secureCustomData: fc.oneof(fc.dictionary(fc.string(), oddValues, { maxKeys: 3 }), oddValues),
    [`x${clientId}`]: oddValues,
  };
  const base = { iss: clientId, aud: POLICY.audiences[0], sub: 'alice', exp: START_AT + 300, iat: START_AT };
  const change = fc
    .constantFrom(...Object.keys(parts))
    .chain((key) => fc.tuple(fc.constant(key), parts[key] ?? oddValues));
  const gone = fc.option(fc.constantFrom('exp', 'iat', 'sub', 'aud', 'iss'), { freq: 8 });
  return fc.tuple(fc.array(change, { maxLength: 3 }), gone).map(([changes, missing]) => {
    const claims = { ...base, ...Object.fromEntries(changes) } as Record<string, unknown>;
    if (missing !== null) delete claims[missing];
    return claims;
  });
};

/** Texts that look like JSON or forms, and what they are called. */
const bodies: fc.Arbitrary<{ readonly type: string; readonly text: string }> = (() => {
  const json = fc.oneof(
    fc.json({ maxDepth: 6 }),
    fc
      .jsonValue({ maxDepth: 4 })
      .map((value) => JSON.stringify({ assertion: value, botInfo: value, __proto__x: value })),
    fc
      .tuple(fc.json({ maxDepth: 3 }), fc.nat(), fc.string({ unit: 'binary', maxLength: 3 }))
      .map(([text, at, odd]) => [text.slice(0, at % (text.length + 1)), text.slice(at % (text.length + 1))].join(odd)),
    fc.constantFrom(1, 31, 32, 33, 5_000).map((depth) => `{"a":${'['.repeat(depth)}${']'.repeat(depth)}}`),
    fc.constantFrom(
      '{"__proto__":{"polluted":1}}',
      '{"constructor":{"prototype":{"polluted":1}}}',
      '{"a":1,"a":2}',
      '{"a":{"b":1,"\\u0062":2}}',
      '\ufeff{}',
      '',
      'null',
      '[]',
      '{"assertion":1e999}',
    ),
  );
  const key = fc.oneof(
    fc.constantFrom(
      'assertion',
      'botInfo[taskBotId]',
      'botInfo[customData][a]',
      'a[__proto__][polluted]',
      '__proto__[polluted]',
    ),
    fc.constantFrom(
      'constructor[prototype][polluted]',
      'a[]',
      'a[0]',
      'a[99999999]',
      'a[b][c][d][e][f][g]',
      'a]b',
      '[',
      'toString',
    ),
    fc.string({ unit: 'binary', maxLength: 10 }),
  );
  const field = fc.tuple(
    key,
    fc.oneof(fc.string({ unit: 'binary', maxLength: 20 }), fc.constantFrom('%', '%zz', '%ff', '+', '%00')),
  );
  const form = fc
    .array(field, { maxLength: 8 })
    .chain((fields) =>
      fc
        .boolean()
        .map((isRaw) =>
          fields
            .map(([name, value]) => (isRaw ? `${name}=${value}` : `${encodeURIComponent(toWellFormed(name))}=${value}`))
            .join('&'),
        ),
    );
  const many = fc
    .constantFrom(199, 200, 201, 5_000)
    .map((count) => Array.from({ length: count }, (_, at) => `f${at}=1`).join('&'));
  const types = fc.constantFrom(
    'application/json; charset=utf-16',
    'application/json;charset="utf-8"',
    'text/plain',
    'multipart/form-data; boundary=x',
    '',
    '__proto__',
    'APPLICATION/JSON',
  );
  return fc.oneof(
    json.map((text) => ({ type: 'application/json', text })),
    fc.oneof(form, form, many).map((text) => ({ type: 'application/x-www-form-urlencoded', text })),
    fc.tuple(types, fc.oneof(json, form)).map(([type, text]) => ({ type, text })),
  );
})();

/** A text as it is after its way through UTF-8. */
const toWellFormed = (text: string): string => Buffer.from(text).toString();

function assertUnpolluted(): void {
  assert.equal(Object.hasOwn(Object.prototype, 'polluted'), false, 'a body has changed the prototype of everything');
}

const OAUTH_PATHS = ['/oauth/token', '/oauth/introspect', '/oauth/revoke'] as const;
const ASSERTION_PATHS = [
  '/authorize',
  '/api/oAuth/token/jwtgrant',
  '/api/1.1/oAuth/token/jwtgrant',
  '/oauth/token',
] as const;

/** What a field of a header may hold when it has come through Node's parser. */
const toFieldText = (text: string): string => text.replaceAll(/[^\x21-\x7e\x80-\xff ]/g, '').trim();

/** A request, and the tokens of it that would have to be good for a grant. */
interface FuzzedRequest extends MemoryRequest {
  readonly assertion?: string;
  readonly proof?: string;
}

function toBody(isForm: boolean, fields: Readonly<Record<string, unknown>>): Pick<MemoryRequest, 'headers' | 'body'> {
  const texts = Object.entries(fields).filter((entry): entry is [string, string] => typeof entry[1] === 'string');
  return isForm
    ? {
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: texts.map(([name, value]) => `${name}=${encodeURIComponent(toWellFormed(value))}`).join('&'),
      }
    : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(fields) };
}

/** Requests around tokens of this subject: changed ones, and some that are good. */
function requests({ good, single, bearer, proof, attacker, apps }: FuzzSubject): fc.Arbitrary<FuzzedRequest> {
  const mutation = mutations(attacker);
  const changed = fc.tuple(fc.constantFrom(...good, single), mutation).map(([token, mutate]) => mutate(token));
  const token = fc.oneof(
    { weight: 12, arbitrary: changed },
    { weight: 1, arbitrary: fc.constantFrom(...good, single) },
    { weight: 2, arbitrary: fc.string({ unit: 'binary', maxLength: 60 }) },
  );
  const extras = fc.dictionary(
    fc.constantFrom(
      'botInfo',
      'identity_to_merge_token',
      'scope',
      'client_id',
      'customData',
      'resource',
      'audience',
      'actor_token',
    ),
    fc.oneof(fc.constantFrom<unknown>('', bearer, { taskBotId: 'st-1', customData: { a: 1 } }), oddValues),
    { maxKeys: 2 },
  );
  const urn = (kind: string, name: string): string => `urn:ietf:params:oauth:${kind}:${name}`;
  const grant = fc.oneof(
    fc.constantFrom(urn('grant-type', 'jwt-bearer'), urn('grant-type', 'token-exchange')),
    fc.constantFrom('client_credentials', '__proto__', 'toString', ''),
  );
  const type = fc.oneof(
    fc.constantFrom(urn('token-type', 'jwt'), urn('token-type', 'access_token'), urn('token-type', 'id-jag')),
    oddValues,
  );
  const dpop = fc.option(
    fc.oneof(
      mutation.map((mutate) => mutate(proof)),
      mutation.map((mutate) => mutate(good[0] ?? '')),
      fc.constant(proof),
    ),
    { freq: 3 },
  );
  const clients = fc
    .tuple(fc.constantFrom(...ASSERTION_PATHS.slice(0, 3)), token, extras, fc.boolean())
    .map(([path, assertion, fields, isForm]): FuzzedRequest => ({
      method: 'POST',
      path,
      assertion: isForm ? toWellFormed(assertion) : assertion,
      ...toBody(isForm, { ...fields, assertion }),
    }));
  const oauth = fc
    .tuple(grant, token, extras, type, type, dpop, fc.boolean())
    .map(([grantType, assertion, fields, subjectType, requestedType, header, isForm]): FuzzedRequest => {
      const asked = { grant_type: grantType, assertion, subject_token: assertion, subject_token_type: subjectType };
      const { headers, body } = toBody(isForm, { ...fields, ...asked, requested_token_type: requestedType });
      const field = header === null ? undefined : toFieldText(header);
      return {
        method: 'POST',
        path: '/oauth/token',
        assertion: isForm ? toWellFormed(assertion) : assertion,
        ...(field !== undefined && { proof: field }),
        headers: { ...headers, ...(field !== undefined && { dpop: field }) },
        ...(body !== undefined && { body }),
      };
    });
  const holders = fc
    .tuple(
      fc.constantFrom<[string, string]>(
        ['GET', '/api/1.1/userinfo'],
        ['POST', '/api/rtm/start'],
        ['GET', '/api/1.1/session/context?sessionId=x'],
      ),
      fc.constantFrom('Bearer', 'bearer', 'DPoP', 'Basic', ''),
      fc.oneof(
        mutation.map((mutate) => mutate(bearer)),
        changed,
      ),
      dpop,
    )
    .map(([[method, path], scheme, text, header]): FuzzedRequest => ({
      method,
      path,
      headers: {
        authorization: toFieldText(`${scheme} ${text}`),
        ...(header !== null && { dpop: toFieldText(header) }),
      },
    }));
  const anything = fc
    .tuple(
      fc.constantFrom(...ASSERTION_PATHS, ...OAUTH_PATHS, '/api/rtm/start', '/admin/apps'),
      bodies,
      fc.constantFrom('POST', 'PUT', 'GET', 'PATCH'),
    )
    .map(([path, { type: contentType, text }, method]): FuzzedRequest => ({
      method,
      path,
      headers: contentType === '' ? {} : { 'content-type': contentType },
      ...(method === 'GET' ? {} : { body: toWellFormed(text) }),
    }));
  const paths = fc
    .tuple(
      fc.constantFrom('GET', 'POST', 'DELETE', 'OPTIONS', 'HEAD', 'TRACE'),
      fc.array(
        fc.oneof(
          fc.constantFrom('admin', 'oauth', 'api', '..', '%2e%2e', '%', '%ff', '', 'apps'),
          fc.string({ maxLength: 6 }).map(encodeURIComponent),
        ),
        {
          minLength: 1,
          maxLength: 4,
        },
      ),
    )
    .map(([method, parts]): FuzzedRequest => ({ method, path: `/${parts.join('/')}` }));
  const own = oddClaims(apps[0].clientId).map((claims): FuzzedRequest => {
    const assertion = signToken({ alg: 'HS256', typ: 'JWT' }, claims, 'HS256', apps[0].key);
    return { method: 'POST', path: '/authorize', assertion, ...toBody(false, { assertion }) };
  });
  return fc.oneof(
    { weight: 4, arbitrary: clients },
    { weight: 4, arbitrary: oauth },
    { weight: 2, arbitrary: holders },
    { weight: 2, arbitrary: anything },
    { weight: 1, arbitrary: paths },
    { weight: 2, arbitrary: own },
  );
}

/** Asserts that an answer is of a known shape, nobody's fault but the caller's, and grants only what is good. */
function checkAnswer(subject: FuzzSubject, request: FuzzedRequest, { status, headers, text }: MemoryAnswer): void {
  assert.ok(status >= 200 && status < 500, `${request.method} ${request.path} answered ${status} ${text}`);
  if (text === '') return;
  assert.match(String(headers['content-type']), /^application\/json/);
  const body = JSON.parse(text) as { errors?: { msg: string; code: number }[]; error?: string } & Record<
    string,
    unknown
  >;
  assert.ok(isJsonObject(body));
  if (status >= 400) {
    const [failure] = body.errors ?? [];
    const isSeeds = body.errors?.length === 1 && typeof failure?.msg === 'string' && failure.code === status;
    const isOauth = typeof body.error === 'string' && typeof body['error_description'] === 'string';
    assert.ok(isSeeds !== isOauth, text);
    return;
  }
  const isBearerRoute = request.headers?.['authorization'] !== undefined;
  if (isBearerRoute)
    assert.equal(
      request.headers?.['authorization']?.replace(/^bearer /i, ''),
      subject.bearer,
      'a changed bearer works',
    );
  const isGrant = 'access_token' in body || 'authorization' in body;
  if (!isGrant) return;
  subject.tally(request.proof === undefined ? 'grants' : 'grants with a DPoP proof');
  if (request.proof !== undefined) assert.equal(request.proof, subject.proof, 'a changed DPoP proof is taken');
  const { assertion = '' } = request;
  if (subject.good.includes(assertion) || assertion === subject.single) return;
  const [header = '', payload = ''] = assertion.split('.').map((part) => Buffer.from(part, 'base64url').toString());
  const [app] = subject.apps;
  const isOwn = signToken(header, payload, 'HS256', app.key) === assertion;
  assert.ok(isOwn, `granted for ${assertion}`);
  assert.ok(isAcceptable(JSON.parse(payload) as JsonObject, START_AT), `granted for ${payload}`);
}

const asking = (name: string, share: number, ask: 'askInMemory' | 'askOverHttp'): FuzzProperty => ({
  name,
  share,
  create: (subject) =>
    fc.asyncProperty(requests(subject), async (request) => {
      checkAnswer(subject, request, await subject[ask](request));
      assertUnpolluted();
    }),
});

/** All that is fuzzed. */
export const PROPERTIES: readonly FuzzProperty[] = [
  {
    name: 'a changed token is no token, or its signature does not hold; of a changed JWE nothing holds',
    share: 0.3,
    create: (subject) => {
      const { good, single, attacker } = subject;
      const changed = fc.tuple(fc.constantFrom(...good, single), mutations(attacker));
      return fc.asyncProperty(changed, async ([token, mutate]) => {
        const text = mutate(token);
        try {
          const isSigned = await subject.hasGoodSignature(text);
          subject.tally('changed tokens that could be parsed');
          const isUnchanged = attacker.tokens.includes(text) || good.includes(text) || text === single;
          assert.ok(!isSigned || isUnchanged, `taken: ${text}`);
          if (text.split('.').length !== 5) return;
          subject.tally('changed JWEs that could be parsed');
          assert.ok(isUnchanged || !(await subject.isAuthentic(text)), `taken: ${text}`);
        } catch (error) {
          if (!(error instanceof TokenError)) throw error;
        }
      });
    },
  },
  {
    name: 'what can be parsed has one spelling',
    share: 0.1,
    create: ({ good, attacker }) =>
      fc.property(fc.constantFrom(...good), mutations(attacker), (token, mutate) => {
        const text = mutate(token);
        try {
          const parsed = parseCompact(text);
          assert.equal(
            text
              .split('.')
              .map((part) => Buffer.from(part, 'base64url').toString('base64url'))
              .join('.'),
            text,
          );
          assert.ok(isJsonObject(parsed.header));
          assert.equal(parsed.header['crit'], undefined);
        } catch (error) {
          if (!(error instanceof TokenError)) throw error;
        }
      }),
  },
  {
    name: 'claims are refused by name, or are what another reading of the rules accepts',
    share: 0.25,
    create: ({ apps: [{ clientId }], tally }) =>
      fc.property(oddClaims(clientId), (odd) => {
        const claims = JSON.parse(JSON.stringify(odd)) as JsonObject;
        let isTaken = true;
        try {
          checkClaims(claims, POLICY, START_AT);
          tally('odd claims that were taken');
        } catch (error) {
          assertRefusal(error);
          isTaken = false;
        }
        assert.ok(!isTaken || isAcceptable(claims, START_AT), JSON.stringify(claims));
      }),
  },
  {
    name: 'JSON with a member twice is refused, however it is spelled and wherever it is; without, it is what JSON.parse says',
    share: 0.05,
    create: () =>
      fc.property(
        fc.dictionary(fc.string({ minLength: 1, maxLength: 8 }), fc.jsonValue({ maxDepth: 2 }), {
          minKeys: 1,
          maxKeys: 4,
        }),
        fc.nat(),
        fc.nat(10),
        fc.boolean(),
        (members, at, depth, isEscaped) => {
          const wrap = (text: string): string => `{"o":${'[{"a":'.repeat(depth)}${text}${'}]'.repeat(depth)}}`;
          const text = JSON.stringify(members);
          const whole = wrap(text);
          assert.deepEqual(parseJsonObject(whole), JSON.parse(whole));
          const names = Object.keys(members);
          const name = names[at % names.length] ?? '';
          const spelled = isEscaped
            ? `"${Array.from(Buffer.from(name, 'utf16le').swap16().toString('hex').match(/.{4}/g) ?? [], (unit) => `\\u${unit}`).join('')}"`
            : JSON.stringify(name);
          assert.throws(() => parseJsonObject(wrap(`${text.slice(0, -1)},${spelled}:1}`)), JsonError);
        },
      ),
  },
  {
    name: 'a body is an object of its own, or refused',
    share: 0.12,
    create: ({ tally }) => {
      const read = readBody(MAX_BODY_BYTES);
      return fc.asyncProperty(bodies, async ({ type, text }) => {
        const req = new IncomingMessage(new Socket());
        req.headers = { 'content-length': String(Buffer.byteLength(text)), 'content-type': type };
        req.push(text);
        req.push(null);
        try {
          await read(req as Parameters<typeof read>[0], {} as Parameters<typeof read>[1], () => undefined);
          assert.ok(isJsonObject((req as unknown as { body: unknown }).body));
          tally('bodies that could be read');
        } catch (error) {
          assertRefusal(error);
        }
        assertUnpolluted();
      });
    },
  },
  asking('every route answers as it should, whatever is sent', 0.15, 'askInMemory'),
  asking('and so it does over HTTP', 0.03, 'askOverHttp'),
];

/** Runs every property on its share of `cases`. @returns how many cases were run of each */
export async function runProperties(
  subject: FuzzSubject,
  { cases, seed }: { readonly cases: number; readonly seed: number },
  onRun: (name: string, count: number, tookMs: number) => void,
): Promise<number> {
  let total = 0;
  for (const { name, share, create } of PROPERTIES) {
    const numRuns = Math.ceil(cases * share);
    const startedAtMs = performance.now();
    const details = await fc.check(create(subject) as fc.IAsyncProperty<unknown>, { numRuns, seed });
    if (details.failed) throw new Error(`"${name}"\n${fc.defaultReportMessage(details)}`);
    onRun(name, details.numRuns, performance.now() - startedAtMs);
    total += details.numRuns;
  }
  return total;
}
