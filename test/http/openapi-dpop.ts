import assert from 'node:assert/strict';

import { createProofKey, toAth } from '../support/dpop.ts';
import type { Operation, RawAnswer } from '../support/openapi.ts';
import type { Call, World } from './openapi-calls.ts';

const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';

/** What takes a bearer, with the query that it needs. */
const USES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  getUserInfo: {},
  startRealTime: {},
  startRealTimeVersioned: {},
  readMessages: { botId: 'st-1' },
  readMessagesVersioned: { botId: 'st-1' },
};

interface Judged {
  find(id: string): Operation;
  sendGood(operation: Operation, at: World, call?: Call): Promise<RawAnswer>;
  expectFailure(operation: Operation, answer: RawAnswer, code: string): Promise<void>;
  expectStatus(operation: Operation, answer: RawAnswer, status: number): Promise<void>;
}

/** Every grant, bound and not, and each way in which a proof is refused. */
export async function expectDpop({ find, sendGood, expectFailure, expectStatus }: Judged, world: World): Promise<void> {
  const key = createProofKey(() => world.idproxy.clock.nowSeconds());
  const token = find('requestToken');
  const url = 'https://idproxy.example';
  const exchange = (more = {}): Call => ({
    body: {
      grant_type: TOKEN_EXCHANGE,
      subject_token: world.app.sign(),
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      ...more,
    },
  });
  await expectStatus(token, await sendGood(token, world, exchange()), 200);
  await expectFailure(token, await sendGood(token, world, exchange({ audience: 'x' })), 'invalid_target');

  const ask = (proof: string): Promise<RawAnswer> =>
    sendGood(token, world, {
      headers: { dpop: proof },
      body: { grant_type: JWT_BEARER, assertion: world.app.sign() },
    });
  const proof = key.prove('POST', `${url}/oauth/token`);
  const granted = await ask(proof);
  await expectStatus(token, granted, 200);
  await expectFailure(token, await ask(proof), 'dpop_proof_replayed');
  await expectFailure(token, await ask('x'), 'invalid_dpop_proof');

  const bearer = (JSON.parse(granted.text) as { access_token: string }).access_token;
  const introspect = find('introspectToken');
  const introspection = await sendGood(introspect, world, { body: { token: bearer } });
  assert.match(introspection.text, /"cnf":\{"jkt":/);
  await expectStatus(introspect, introspection, 200);
  for (const [id, query] of Object.entries(USES)) {
    const operation = find(id);
    const isPost = operation.requestBody !== undefined;
    const use = (headers: Record<string, string>): Promise<RawAnswer> =>
      sendGood(operation, world, { headers, query, ...(isPost && { body: {} }) });
    const good = {
      authorization: `DPoP ${bearer}`,
      dpop: key.prove(isPost ? 'POST' : 'GET', url + operation.path, { ath: toAth(bearer) }),
    };
    await expectStatus(operation, await use(good), 200);
    await expectFailure(operation, await use(good), 'dpop_proof_replayed');
    await expectFailure(operation, await use({ authorization: `DPoP ${bearer}` }), 'invalid_dpop_proof');
    await expectFailure(operation, await use({ authorization: `Bearer ${bearer}` }), 'bearer_bound');
    await expectFailure(operation, await use({ authorization: `DPoP ${world.bearer}` }), 'bearer_not_bound');
  }
}
