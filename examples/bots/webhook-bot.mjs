// A bot behind a URL, in Node without a dependency. WEBHOOK_SECRET is the text of COUNTERSIGN_BOT_WEBHOOK_SECRET.
import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';

const { WEBHOOK_SECRET = '', PORT = '5000' } = process.env;
if (WEBHOOK_SECRET === '') throw new Error('WEBHOOK_SECRET is not set');
const isBase64 = WEBHOOK_SECRET.startsWith('whsec_');
const key = isBase64 ? Buffer.from(WEBHOOK_SECRET.slice(6), 'base64') : Buffer.from(WEBHOOK_SECRET);

const TOLERANCE_SECONDS = 300;
const MAX_BODY_BYTES = 262_144;

/** Whether the platform sent this, and just now. The header may list several signatures, while a secret changes. */
function isGenuine(headers, body) {
  const { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signatures = '' } = headers;
  if (!(Math.abs(Date.now() / 1000 - Number(timestamp)) <= TOLERANCE_SECONDS)) return false;
  const expected = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest();
  return signatures.split(' ').some((one) => {
    const given = Buffer.from(one.replace(/^v1,/, ''), 'base64');
    return one.startsWith('v1,') && given.length === expected.length && timingSafeEqual(given, expected);
  });
}

/** What the bot says. `UserContext.privateClaims` is signed and so to be trusted; `customData` is not. */
function answer({ event, session, UserContext, message }) {
  const name = UserContext.privateClaims.name ?? (session.isAnonymous ? 'stranger' : session.identity);
  return [{ text: event === 'start' ? `Hello ${name}, how can I help?` : `${name}, you said: ${message.text}` }];
}

/** Answers by webhook id: who sends the same request again changes nothing and learns nothing new. */
const answered = new Map();

async function handle(req, res) {
  const chunks = [];
  let size = 0;
  for await (const chunk of req) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) return res.writeHead(413).end();
    chunks.push(chunk);
  }
  const body = Buffer.concat(chunks);
  if (!isGenuine(req.headers, body)) return res.writeHead(401).end();
  const id = req.headers['webhook-id'];
  if (!answered.has(id)) {
    answered.set(id, JSON.stringify({ messages: answer(JSON.parse(body.toString())) }));
    setTimeout(() => answered.delete(id), 2 * TOLERANCE_SECONDS * 1000).unref();
  }
  return res.writeHead(200, { 'content-type': 'application/json' }).end(answered.get(id));
}

const server = createServer((req, res) => void handle(req, res));
server.listen(Number(PORT), '127.0.0.1', () => process.stdout.write(`listening on ${server.address().port}\n`));
