import assert from 'node:assert/strict';
import { request as requestHttp } from 'node:http';

import type { JWK } from 'jose';

import { createAppDirectory } from '../../src/apps/directory.ts';
import { createPlatformKeys } from '../../src/apps/platform-keys.ts';
import { AppError, ERRORS } from '../../src/core/errors.ts';
import { createAuthenticateToken } from '../../src/idproxy/authenticate-token.ts';
import { type CompactJwe, type CompactJws, parseCompact } from '../../src/jose/compact.ts';
import { createJwsVerifier, type JwsVerifier } from '../../src/jose/jws.ts';
import { type AppUnderTest, type IdproxyUnderTest, startIdproxyUnderTest } from '../support/idproxy-under-test.ts';
import { createProofKey } from '../support/dpop.ts';
import { encryptText } from '../support/encrypt.ts';
import { type MemoryAnswer, type MemoryRequest, sendInMemory } from '../support/in-memory-request.ts';
import { POLICY } from './claims-oracle.ts';
import type { Attacker } from './token-mutations.ts';

/** An idproxy with apps, tokens that it takes, and ways to ask it. */
export interface FuzzSubject {
  readonly idproxy: IdproxyUnderTest;
  readonly apps: readonly [hs: AppUnderTest, rs: AppUnderTest];
  /** Tokens that are granted, as often as they are presented unchanged. */
  readonly good: readonly string[];
  /** One that is granted once. */
  readonly single: string;
  /** A live bearer. */
  readonly bearer: string;
  /** A good DPoP proof for `/oauth/token`; it can be used once. */
  readonly proof: string;
  /** Another one. */
  prove(): string;
  readonly attacker: Attacker;
  /** Whether the signature of a token is the app's own. @throws TokenError on what is no token */
  hasGoodSignature(text: string): Promise<boolean>;
  /** Whether the idproxy takes a token for an app's own, its JWE opened: every check up to the signature. */
  isAuthentic(text: string): Promise<boolean>;
  /** Counts how far cases come: one that ends at the first check proves little. */
  tally(what: string): void;
  readonly tallies: ReadonlyMap<string, number>;
  askInMemory(request: MemoryRequest): Promise<MemoryAnswer>;
  askOverHttp(request: MemoryRequest): Promise<MemoryAnswer>;
  close(): Promise<void>;
}

const PUBLIC_URL = 'https://idproxy.example';

export async function createFuzzSubject(): Promise<FuzzSubject> {
  const idproxy = await startIdproxyUnderTest();
  const { audiences: _, ...settings } = POLICY;
  const hs = await idproxy.register(settings);
  const rs = await idproxy.register({ ...settings, algorithm: 'RS256' });
  const { body: jwks } = await idproxy.request('/.well-known/jwks.json');
  const platformKey = (jwks.keys as JWK[]).find(({ use }) => use === 'enc') as JWK;
  const withoutJti = { jti: undefined };
  const signed = [hs.sign(withoutJti), rs.sign(withoutJti)];
  const encrypted = await Promise.all(
    signed.map((token) => encryptText(token, platformKey, { cty: 'JWT', kid: platformKey.kid })),
  );
  const { body: grant } = await idproxy.authorize(hs.sign());
  const app = (await idproxy.admin('GET', `/admin/apps/${rs.clientId}`)).body as { publicKey?: string };
  const verifiers: JwsVerifier[] = [
    await createJwsVerifier('HS256', hs.key),
    await createJwsVerifier('RS256', app.publicKey ?? ''),
  ];
  const proofKey = createProofKey(() => idproxy.clock.nowSeconds());
  const prove = (): string => proofKey.prove('POST', `${PUBLIC_URL}/oauth/token`);
  const { store, vault, clock } = idproxy;
  const onProblem = (detail: string): void => assert.fail(detail);
  const shared = { documents: store.documents, vault, clock, onProblem };
  const directory = createAppDirectory({ ...shared, getText: undefined });
  const platformKeys = createPlatformKeys(shared);
  const authenticate = createAuthenticateToken({ directory, keyring: platformKeys.keyring });
  const tallies = new Map<string, number>();
  const port = Number(new URL(idproxy.url).port);
  return {
    idproxy,
    apps: [hs, rs],
    good: [...signed, ...encrypted],
    single: hs.sign(),
    bearer: (grant as { access_token: string }).access_token,
    proof: prove(),
    prove,
    attacker: {
      publicTexts: [app.publicKey ?? '', hs.clientId, '', JSON.stringify(platformKey)],
      tokens: [...signed, ...encrypted, hs.sign()],
    },
    hasGoodSignature: async (text) => {
      const token: CompactJws | CompactJwe = parseCompact(text);
      if (token.kind !== 'jws') return false;
      for (const verifier of verifiers) if (await verifier.verify(token)) return true;
      return false;
    },
    isAuthentic: async (text) => {
      try {
        await authenticate(text);
        return true;
      } catch (error) {
        if (!(error instanceof AppError) || ERRORS[error.code].status >= 500) throw error;
        return false;
      }
    },
    tally: (what) => void tallies.set(what, (tallies.get(what) ?? 0) + 1),
    tallies,
    askInMemory: (request) => sendInMemory(idproxy.app, request),
    askOverHttp: (request) => askOverHttp(port, request),
    close: async () => {
      directory.close();
      platformKeys.close();
      await idproxy.close();
    },
  };
}

function askOverHttp(port: number, { method, path, headers = {}, body }: MemoryRequest): Promise<MemoryAnswer> {
  return new Promise((done, fail) => {
    const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };
    const all = { connection: 'keep-alive', ...length, ...headers };
    const req = requestHttp({ host: '127.0.0.1', port, method, path, headers: all, timeout: 10_000 }, (res) => {
      const chunks: Buffer[] = [];
      res.on('data', (chunk: Buffer) => chunks.push(chunk));
      res.once('error', fail);
      res.once('end', () =>
        done({ status: res.statusCode ?? 0, headers: res.headers, text: Buffer.concat(chunks).toString() }),
      );
    });
    req.once('timeout', () => req.destroy(new Error('no answer')));
    req.once('error', fail);
    req.end(body);
  });
}
