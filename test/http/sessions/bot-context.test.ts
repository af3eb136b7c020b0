import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import type { Bot, BotSession } from '../../../src/sessions/bots/bot.ts';
import { encryptText } from '../../support/encrypt.ts';
import { BACKENDS } from '../../support/idproxy-under-test.ts';
import { openClient, startPlatformUnderTest } from './socket-under-test.ts';

const SIGNED = { tier: 'gold-4711', limits: { daily: 250, currencies: ['EUR', 'CHF'] }, 'né 😀': null };
const SECURE = { account: 'DE02-1234' };
const UNSIGNED = { page: '/prices', tier: 'platinum, says the page' };

for (const [name, open] of Object.entries(BACKENDS)) {
  describe(`what a bot learns through a live socket, on ${name}`, { timeout: 30_000 }, () => {
    test('the values that were signed and encrypted, apart from those that were not; the browser sees none', async () => {
      const started: BotSession[] = [];
      const asked: BotSession[] = [];
      const bot: Bot = {
        name: 'curious',
        onStart: async (session) => {
          started.push(session);
          return [];
        },
        onMessage: async (session) => {
          asked.push(session);
          return [{ text: 'thank you' }];
        },
      };
      const platform = await startPlatformUnderTest(open, { bot });
      try {
        const app = await platform.register({ jwe: { required: true } });
        assert.ok(app.jwk);
        const signed = app.sign({ sub: 'carol', privateClaims: SIGNED, secureCustomData: SECURE });
        const assertion = await encryptText(signed, app.jwk, { cty: 'JWT', kid: app.jwk.kid });
        const botInfo = { chatBot: 'Bot', taskBotId: 'st-1', customData: UNSIGNED };
        const granted = await platform.request('POST', '/api/oAuth/token/jwtgrant', { body: { assertion, botInfo } });
        assert.equal(granted.status, 200, JSON.stringify(granted.body));
        const bearer: string = granted.body.authorization.accessToken;
        const { body } = await platform.start(bearer);
        const client = await openClient(body.url);
        client.say('what do you know?');
        await client.until(({ type }) => type === 'bot_response');

        const known = { privateClaims: SIGNED, secureCustomData: SECURE, customData: UNSIGNED };
        for (const session of [started[0], asked[0]]) {
          assert.deepEqual(JSON.parse(JSON.stringify(session?.UserContext)), known);
          assert.deepEqual(
            [session?.identity, session?.isAnonymous, session?.botId, session?.clientId, session?.userId],
            ['carol', false, 'st-1', app.clientId, granted.body.userInfo.userId],
          );
        }
        const seen = JSON.stringify([client.frames, granted.body, body]) + platform.lines.join('\n');
        for (const value of ['gold-4711', 'DE02-1234', 'platinum']) assert.ok(!seen.includes(value), value);
        client.ws.close();
      } finally {
        await platform.close();
      }
    });
  });
}
