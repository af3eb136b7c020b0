import { generateKeyPairSync } from 'node:crypto';
import { join } from 'node:path';

import { type BenchApp, createAssertions, createRs256Assertions } from './assertions.ts';
import { type Bodies, FORM_FIELDS, JSON_FIELDS, toAssertionBody } from './bodies.ts';
import { type Contestant, type Store, STORES, type Surroundings } from './contestant.ts';
import { createIdproxyHome, EXCHANGES_PER_MINUTE, startIdproxyServer } from './idproxy-home.ts';
import { createNestedAssertions } from './nested-assertions.ts';
import { registerApp } from './register-app.ts';

const JWT_GRANT = '/api/1.1/oAuth/token/jwtgrant';
/** Bearers that are asked for, in turn. */
const BEARER_COUNT = 500;

/** Bodies that ask for live bearers. */
async function createQuestions(url: string, app: BenchApp): Promise<Bodies> {
  const all: string[] = [];
  for (const assertion of createAssertions(app, BEARER_COUNT)) {
    const answer = await fetch(`${url}/authorize`, {
      method: 'POST',
      headers: JSON_FIELDS,
      body: toAssertionBody(assertion),
    });
    const { access_token: bearer } = (await answer.json()) as { access_token?: string };
    if (bearer === undefined) throw new Error(`no bearer was given: ${answer.status}`);
    all.push(`token=${encodeURIComponent(bearer)}`);
  }
  return { all };
}

/** `countersign idproxy` on one store, and each of its routes that is measured. */
export async function startIdproxy(store: Store, { folder, redisUrl }: Surroundings): Promise<Contestant[]> {
  const homeFolder = join(folder, store);
  const home = await createIdproxyHome(store, homeFolder, redisUrl);
  const server = await startIdproxyServer(homeFolder, home);
  const { url } = server;
  const register = (settings: Readonly<Record<string, unknown>>) =>
    registerApp(url, home.adminToken, { exchangesPerMinute: EXCHANGES_PER_MINUTE, ...settings });

  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const hs256 = await register({});
  const rs256 = await register({ algorithm: 'RS256', publicKey: publicKey.export({ type: 'spki', format: 'pem' }) });
  const nested = await register({ jwe: { required: true } });
  const createHs256 = (count: number) => createAssertions(hs256, count).map(toAssertionBody);
  const createRs256 = async (count: number) =>
    (await createRs256Assertions(rs256.clientId, privateKey, count)).map(toAssertionBody);
  const createNested = (count: number) => createNestedAssertions(nested, nested.jwk, count).map(toAssertionBody);

  const toContestant = (id: string, what: string, path: string, bodies: Bodies, fields = JSON_FIELDS): Contestant => {
    const name = `${what}, ${STORES[store]}`;
    return { id: `${id}-${store}`, name, group: 'ours', url: `${url}${path}`, fields, bodies, server };
  };
  const hs256Bodies = { noFasterThan: 'create-app', create: createHs256 };
  const rs256Bodies = { noFasterThan: `jwtgrant-hs256-${store}`, create: createRs256 };
  const nestedBodies = { noFasterThan: `jwtgrant-rs256-${store}`, create: createNested };
  const asking = { ...FORM_FIELDS, authorization: `Bearer ${home.callerKey}` };
  return [
    toContestant('authorize', '/authorize, HS256 with jti', '/authorize', hs256Bodies),
    toContestant('jwtgrant-hs256', 'jwtgrant, HS256 with jti', JWT_GRANT, hs256Bodies),
    toContestant('jwtgrant-rs256', 'jwtgrant, RS256 with jti', JWT_GRANT, rs256Bodies),
    toContestant('jwtgrant-nested', 'jwtgrant, HS256 in a JWE, with jti', JWT_GRANT, nestedBodies),
    toContestant('introspect', 'introspection', '/oauth/introspect', await createQuestions(url, hs256), asking),
  ];
}
