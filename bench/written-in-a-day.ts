/**
 * What a team would write in a day for `/authorize`: the assertion is verified, its `jti` claimed and a session stored in Redis.
 * `<port> <Redis> <way>`; the secret is {@link DAY_SECRET}. It checks less than the product does.
 */
import { createSecretKey, randomBytes } from 'node:crypto';

import express, { type Express } from 'express';
import { rateLimit } from 'express-rate-limit';
import { createVerifier } from 'fast-jwt';
import helmet from 'helmet';
import { Redis } from 'ioredis';
import { jwtVerify } from 'jose';
import jsonwebtoken from 'jsonwebtoken';
import { pinoHttp } from 'pino-http';

import { AUDIENCE, DAY_SECRET } from './assertions.ts';

const SESSION_SECONDS = 3_600;
const [port, redisUrl = '', way = ''] = process.argv.slice(2);

type Claims = Readonly<Record<string, unknown>>;
// A key object: given text, jsonwebtoken tries it as a public key first, which takes 350 µs each time.
const secret = createSecretKey(Buffer.from(DAY_SECRET));
const withJose = async (token: string): Promise<Claims> =>
  (await jwtVerify(token, secret, { algorithms: ['HS256'], audience: AUDIENCE })).payload;
const withJsonwebtoken = (token: string): Claims =>
  jsonwebtoken.verify(token, secret, { algorithms: ['HS256'], audience: AUDIENCE }) as Claims;
const withFastJwt = createVerifier({ key: DAY_SECRET, algorithms: ['HS256'], allowedAud: AUDIENCE });
const surround = (app: Express): void => {
  app.use(pinoHttp(), helmet(), rateLimit({ windowMs: 60_000, limit: 1e9, validate: false }));
};

const WAYS: Readonly<Record<string, { surround?: (app: Express) => void; verify: (token: string) => unknown }>> = {
  'all-middleware-jose': { surround, verify: withJose },
  jose: { verify: withJose },
  jsonwebtoken: { verify: withJsonwebtoken },
  'fast-jwt': { verify: withFastJwt },
};
const chosen = WAYS[way];
if (chosen === undefined) throw new TypeError(`no such way: ${way}`);

const redis = new Redis(redisUrl);
const app = express();
chosen.surround?.(app);
app.post('/authorize', express.json(), async (req, res) => {
  const { assertion } = req.body as { assertion: string };
  const { iss, jti, sub } = (await chosen.verify(assertion)) as Claims;
  if ((await redis.set(`jti:${String(iss)}:${String(jti)}`, '1', 'EX', SESSION_SECONDS, 'NX')) === null) {
    res.status(401).json({ error: 'invalid_grant' });
    return;
  }
  const bearer = randomBytes(32).toString('base64url');
  await redis.set(`session:${bearer}`, JSON.stringify({ iss, sub }), 'EX', SESSION_SECONDS);
  res.json({ access_token: bearer, token_type: 'Bearer', expires_in: SESSION_SECONDS });
});

app.listen(Number(port), '127.0.0.1');
