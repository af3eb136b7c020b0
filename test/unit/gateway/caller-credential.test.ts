import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { describe, it } from 'node:test';

import { AppError } from '../../../src/core/errors.ts';
import { authenticateCaller, type CredentialField } from '../../../src/gateway/caller-credential.ts';
import type { CallerDirectory } from '../../../src/gateway/caller-registry.ts';

const TOKEN = 'csc_gc2LOJuGuNcrFfk36D8_JiA9LjzVp_FQwKiKWXXPOJo';
const CALLER = { id: 'cl-1', name: 'bot', tokenHash: '', createdAt: 0 };
const toBasic = (pair: string): string => `Basic ${Buffer.from(pair).toString('base64')}`;

const toRequest = (field: string, values: readonly string[]): IncomingMessage =>
  ({
    headers: { [field]: values.join(', ') },
    rawHeaders: values.flatMap((value) => [field, value]),
  }) as unknown as IncomingMessage;

const createCallers = (known: readonly string[], isNew = false): CallerDirectory & { misses: number } => {
  let isFresh = !isNew;
  return {
    misses: 0,
    findCaller: (token) => (isFresh && known.includes(token) ? CALLER : undefined),
    async refreshOnMiss() {
      this.misses += 1;
      isFresh = true;
    },
    load: async () => undefined,
    close: () => undefined,
  };
};

const refusal = async (request: IncomingMessage, field: CredentialField): Promise<string> => {
  try {
    await authenticateCaller(request, field, createCallers([TOKEN]));
  } catch (error) {
    assert.ok(error instanceof AppError);
    return error.code;
  }
  return 'nothing';
};

describe("a caller's credential", () => {
  const GOOD: Readonly<Record<string, string>> = {
    'a bearer': `Bearer ${TOKEN}`,
    'a bearer in small letters': `bearer ${TOKEN}`,
    'the user of Basic, with a password': toBasic(`${TOKEN}:x`),
    'the user of Basic, without': toBasic(`${TOKEN}:`),
    'the user of Basic, without a colon': toBasic(TOKEN),
  };
  for (const [name, value] of Object.entries(GOOD)) {
    it(`is ${name}, at once`, () => {
      const found = authenticateCaller(
        toRequest('proxy-authorization', [value]),
        'proxy-authorization',
        createCallers([TOKEN]),
      );
      assert.equal(found, CALLER);
    });
  }

  const BAD: Readonly<Record<string, readonly string[]>> = {
    nothing: [],
    'an empty field': [''],
    'another token': [`Bearer ${TOKEN}x`],
    'the password of Basic': [toBasic(`x:${TOKEN}`)],
    'an empty user of Basic': [toBasic(`:${TOKEN}`)],
    'another scheme': [`Digest ${TOKEN}`],
    'a token alone': [TOKEN],
    'two of them': [`Bearer ${TOKEN}`, `Bearer ${TOKEN}`],
    'a field without end': [`Bearer ${'x'.repeat(2_000)}`],
    'base64 that is none': ['Basic %%%'],
  };
  for (const [name, values] of Object.entries(BAD)) {
    it(`is not ${name}`, async () => {
      const code = await refusal(toRequest('proxy-authorization', values), 'proxy-authorization');
      assert.equal(code, 'caller_credential', 'the forward proxy has one sentence for all of them');
    });
  }

  it('tells the other faces whether there was one', async () => {
    for (const field of ['x-connector-authorization', 'authorization'] as const) {
      assert.equal(await refusal(toRequest(field, []), field), 'credential_missing');
      assert.equal(await refusal(toRequest(field, ['Bearer nobody']), field), 'credential_invalid');
    }
  });

  it('is found though it was made a moment ago', async () => {
    const callers = createCallers([TOKEN], true);
    const request = toRequest('authorization', [`Bearer ${TOKEN}`]);
    assert.equal(await authenticateCaller(request, 'authorization', callers), CALLER);
    assert.equal(callers.misses, 1);
  });
});
