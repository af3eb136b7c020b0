/** The usual sample of a token server, as SDK vendors publish it, its secret given as text. Listens on the port of its first argument. */
import { randomBytes, randomUUID } from 'node:crypto';

import express from 'express';
import jsonwebtoken from 'jsonwebtoken';

import { AUDIENCE } from './assertions.ts';

const secret = randomBytes(32).toString('base64');
const app = express();
app.use(express.json());
app.post('/api/users/sts', (req, res) => {
  const { identity } = req.body as { identity: string };
  const claims = { sub: identity, iss: 'cs-bench', aud: AUDIENCE, isAnonymous: false, jti: randomUUID() };
  res.json({ jwt: jsonwebtoken.sign(claims, secret, { algorithm: 'HS256', expiresIn: 600 }) });
});

app.listen(Number(process.argv[2]), '127.0.0.1');
