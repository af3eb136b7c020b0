// Passwords as they are kept. `node passwords.mjs` reads one from standard input and prints what belongs into the users file.
import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const derive = promisify(scrypt);
const KEY_BYTES = 32;
/** Is checked where there is no such user, so that both take as long. */
const NOBODY = `${'0'.repeat(32)}:${'0'.repeat(2 * KEY_BYTES)}`;

export async function hashPassword(password, salt = randomBytes(16).toString('hex')) {
  return `${salt}:${(await derive(password, salt, KEY_BYTES)).toString('hex')}`;
}

export async function isPassword(password, kept = NOBODY) {
  const hashed = await hashPassword(password, kept.split(':')[0]);
  return timingSafeEqual(Buffer.from(hashed), Buffer.from(kept)) && kept !== NOBODY;
}

if (argv[1] === fileURLToPath(import.meta.url))
  process.stdout.write(`${await hashPassword(readFileSync(0, 'utf8').replace(/\n$/, ''))}\n`);
