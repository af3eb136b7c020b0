import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Secret } from '../../../src/core/secret.ts';
import { signWebhook, toSigningKey, toWebhookId } from '../../../src/core/webhook-signature.ts';

/** The worked examples that the authors of the specification publish. */
const PUBLISHED = [
  {
    secret: 'whsec_plJ3nmyCDGBKInavdOK15jsl',
    id: 'msg_loFOjxBNrRLzqYUf',
    timestamp: 1_731_705_121,
    body: '{"event_type":"ping","data":{"success":true}}',
    signature: 'v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=',
  },
  {
    secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
    id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
    timestamp: 1_614_265_330,
    body: '{"test": 2432232314}',
    signature: 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
  },
];

describe('the signature of a webhook', () => {
  for (const { secret, id, timestamp, body, signature } of PUBLISHED) {
    it(`is the published one: ${id}`, () => {
      assert.deepEqual(signWebhook(toSigningKey(new Secret(secret)), id, timestamp + 0.9, body), {
        'webhook-id': id,
        'webhook-timestamp': String(timestamp),
        'webhook-signature': signature,
      });
    });
  }

  it('takes a text without the prefix as it is', () => {
    assert.deepEqual(toSigningKey(new Secret('plJ3nmyCDGBKInavdOK15jsl')), Buffer.from('plJ3nmyCDGBKInavdOK15jsl'));
  });

  it('has an id of the body, without a full stop', () => {
    const id = toWebhookId('{"message":{"id":"1.2.3"}}');
    assert.match(id, /^msg_[\w-]{43}$/);
    assert.equal(id, toWebhookId('{"message":{"id":"1.2.3"}}'));
    assert.notEqual(id, toWebhookId('{"message":{"id":"1.2.4"}}'));
  });
});
