import type { Contestant, Entry, Surroundings } from './contestant.ts';
import { startIdproxy } from './start-idproxy.ts';
import { startIssuer } from './start-issuer.ts';
import { startDay, startEcho, startOidcProvider, startSample } from './start-others.ts';

type Starter = (surroundings: Surroundings) => Promise<Contestant | readonly Contestant[]>;

const floor = (id: string, name: string): Entry => ({ id, name, group: 'floor' });
const day = (id: string, name: string): Entry => ({ id, name: `in a day: ${name}`, group: 'day' });
const peer = (id: string, name: string): Entry => ({ id, name, group: 'peer' });
const ours = (id: string, name: string): Entry => ({ id, name, group: 'ours' });

/** Everyone who takes part, in the order of the table; the first is what the others are measured against. */
export const STARTERS: readonly Starter[] = [
  (around) => startEcho(floor('node-http', 'node:http, JSON echo'), 'echo-http', around),
  (around) => startEcho(floor('express', 'Express 5, JSON echo'), 'echo-express', around),
  (around) =>
    startEcho(
      floor('express-classes', 'Express 5 behind our server factory, JSON echo'),
      'echo-express-classes',
      around,
    ),
  (around) => startEcho(floor('create-app', 'createApp, JSON echo, everything on'), 'echo-create-app', around),
  (around) => startDay(day('day-all', 'Express 5, all middleware, jose, Redis'), 'all-middleware-jose', around),
  (around) => startDay(day('day-jose', 'Express 5, jose, Redis'), 'jose', around),
  (around) => startDay(day('day-jsonwebtoken', 'Express 5, jsonwebtoken, Redis'), 'jsonwebtoken', around),
  (around) => startDay(day('day-fast-jwt', 'Express 5, fast-jwt, Redis'), 'fast-jwt', around),
  (around) => startOidcProvider(peer('oidc-provider', 'oidc-provider 9, JWT-bearer grant, Redis'), around),
  (around) => startSample(peer('sample', 'sample token server: Express 5, jsonwebtoken, HS256'), around),
  (around) => startIssuer(ours('issuer-hs256', 'issuer, HS256'), 'hs256', around),
  (around) => startIssuer(ours('issuer-rs256', 'issuer, RS256'), 'rs256', around),
  (around) => startIssuer(ours('issuer-nested', 'issuer, HS256 in a JWE'), 'nested', around),
  (around) => startIdproxy('embedded', around),
  (around) => startIdproxy('redis', around),
];

/** Starts everyone, one after the other; `started` has them even where a later one fails. */
export async function startContestants(started: Contestant[], surroundings: Surroundings): Promise<void> {
  for (const start of STARTERS) started.push(...[await start(surroundings)].flat());
}
