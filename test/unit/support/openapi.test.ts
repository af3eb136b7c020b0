import assert from 'node:assert/strict';
import { test } from 'node:test';

import { listOperations, type Operation, readOpenapi, startOpenapiJudge } from '../../support/openapi.ts';

test('the judge refuses what the description does not say', async (t) => {
  const document = await readOpenapi();
  const judge = await startOpenapiJudge(document);
  t.after(() => judge.close());
  const operation = listOperations(document).get('authorize') as Operation;
  const headers = new Headers({ 'content-type': 'application/json' });
  const good = { access_token: 'x', token_type: 'Bearer', expires_in: 1, issued_at: 1 };
  const challenge = new Headers({ ...Object.fromEntries(headers), 'www-authenticate': 'Bearer' });
  const retry = new Headers({ ...Object.fromEntries(headers), 'retry-after': '1' });
  const errors = [{ msg: 'no', code: 401 }];
  const answers: Readonly<Record<string, { isGood: boolean; status: number; headers: Headers; body: object }>> = {
    'a success': { isGood: true, status: 200, headers, body: good },
    'a failure': { isGood: true, status: 401, headers: challenge, body: { errors } },
    'a 5xx': { isGood: true, status: 503, headers: retry, body: { errors } },
    'a further member': { isGood: false, status: 200, headers, body: { ...good, scope: '' } },
    'a missing member': { isGood: false, status: 200, headers, body: { ...good, token_type: undefined } },
    'a number as text': { isGood: false, status: 200, headers, body: { ...good, expires_in: '1' } },
    'a status of its own': { isGood: false, status: 418, headers, body: good },
    'another media type': {
      isGood: false,
      status: 200,
      headers: new Headers({ 'content-type': 'text/plain' }),
      body: good,
    },
    'a failure without its challenge': { isGood: false, status: 401, headers, body: { errors } },
    'a failure of another shape': { isGood: false, status: 401, headers: challenge, body: { error: 'no' } },
    'a 5xx of another shape': { isGood: false, status: 503, headers: retry, body: { error: 'no' } },
  };
  for (const [what, { isGood, body, ...rest }] of Object.entries(answers)) {
    const judged = judge.checkAnswer(operation, { ...rest, text: JSON.stringify(body) });
    await (isGood ? judged : assert.rejects(judged, assert.AssertionError, what));
  }
  const json = { 'content-type': 'application/json' };
  await judge.checkRequest(operation, json, '{"assertion":"x"}');
  await assert.rejects(judge.checkRequest(operation, json, '{"assertion":5}'), assert.AssertionError);
  await assert.rejects(judge.checkRequest(operation, { 'content-type': 'text/plain' }, 'x'), assert.AssertionError);
});
