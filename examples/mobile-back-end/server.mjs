// The back end of a mobile app. The app signs in here, with a name and a password; what it gets for that is a session of this
// back end. The issuer's key never leaves this machine, and who the user is says the session, never the request.
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';

import { ClientError, createClient } from 'countersign/client';
import express from 'express';

import { isPassword } from './passwords.mjs';

const { ISSUER_URL = 'http://127.0.0.1:3000', IDPROXY_URL = 'http://127.0.0.1:4000', PORT = '5001' } = process.env;
/** The key that `countersign api-keys create` made, for an issuer with COUNTERSIGN_CALLER_AUTH=api-key. */
const { ISSUER_KEY = '', USERS_FILE = 'users.json' } = process.env;
/** `{"alice@example.com":"<what passwords.mjs prints>"}` */
const users = new Map(Object.entries(JSON.parse(readFileSync(USERS_FILE, 'utf8'))));

const SESSION_MS = 3_600_000;
const MAX_SESSIONS = 10_000;
/** Sessions by the hash of their token, the oldest first; each has a client of its own, and takes it along when it ends. */
const sessions = new Map();
const toKey = (token) => createHash('sha256').update(token).digest('hex');

async function fetchJwt(identity, signal) {
  const headers = { authorization: `Bearer ${ISSUER_KEY}`, 'content-type': 'application/json' };
  const body = JSON.stringify({ identity });
  const answer = await fetch(`${ISSUER_URL}/api/users/sts`, { method: 'POST', headers, body, signal });
  if (!answer.ok) throw new ClientError(answer.status < 500 ? 'refused' : 'unavailable', 'the issuer gave no JWT');
  return (await answer.json()).jwt;
}

function begin(identity) {
  const token = randomBytes(32).toString('base64url');
  const client = createClient({ idproxyUrl: IDPROXY_URL, issuer: (signal) => fetchJwt(identity, signal) });
  sessions.set(toKey(token), { identity, client, endsAt: Date.now() + SESSION_MS });
  for (const [key, { endsAt }] of sessions)
    if (endsAt < Date.now() || sessions.size > MAX_SESSIONS) end(key);
    else break;
  return token;
}

function end(key) {
  const session = sessions.get(key);
  sessions.delete(key);
  // Where the platform cannot be told, the bearer ends by itself.
  session?.client.signOut().catch(() => undefined);
}

/** Lets through who is signed in. */
function requireSession(req, res, next) {
  const [, token = ''] = /^Bearer (\S+)$/i.exec(req.headers.authorization ?? '') ?? [];
  const session = sessions.get(toKey(token));
  if (!session || session.endsAt < Date.now()) return res.status(401).json({ error: 'sign in' });
  res.locals = { key: toKey(token), ...session };
  return next();
}

const app = express().use(express.json({ limit: '2kb' }));
app.post('/sign-in', async (req, res) => {
  const { user, password } = req.body ?? {};
  const isText = typeof user === 'string' && typeof password === 'string';
  if (!isText || !(await isPassword(password, users.get(user)))) return res.status(401).json({ error: 'sign in' });
  return res.json({ session: begin(user) });
});
app.post('/sign-out', requireSession, (_req, res) => {
  end(res.locals.key);
  res.status(204).end();
});
// For an app with the published mobile SDK, which exchanges a JWT itself.
app.post('/chat/jwt', requireSession, async (req, res) => {
  res.json({ jwt: await fetchJwt(res.locals.identity, AbortSignal.timeout(5_000)) });
});
// For everything that this back end does at the platform on behalf of the user.
app.get('/chat/me', requireSession, async (_req, res) => {
  const answer = await res.locals.client.fetchWithBearer(`${IDPROXY_URL}/api/1.1/userinfo`);
  res.status(answer.status).json(await answer.json());
});
app.use((error, _req, res, _next) => res.status(error.status ?? 502).json({ error: error.code ?? 'failed' }));

const server = app.listen(Number(PORT), '127.0.0.1', () =>
  process.stdout.write(`listening on ${server.address().port}\n`),
);
