import assert from 'node:assert/strict';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { createRsaPair } from './assertions.ts';
import { type CountersignProcess, createTempFolder, getFreePort, startCountersign } from './processes.ts';

const ADMIN_TOKEN = 'admin-token-of-this-test-0123456789';

type Environment = Readonly<Record<string, string>>;
type Json = Readonly<Record<string, unknown>>;

/** An app and the issuer that signs for it, in a process of its own. */
export interface AppWithIssuer {
  readonly clientId: string;
  readonly issuerUrl: string;
}

/** How the issuer of an app is set up. */
export interface IssuerTraits {
  /** HS512 unless it is said. */
  readonly algorithm?: string;
  /** Encrypts what it signs, for the platform. */
  readonly isEncrypting?: boolean;
  /** Private claims of every known user. */
  readonly claims?: Json;
}

/** A platform as in production: idproxy and issuers in processes of their own, the page's origin allowed by name. */
export interface Chain {
  /** Where pages reach the idproxy. */
  readonly idproxyUrl: string;
  /** The idproxy that runs now. */
  readonly idproxy: CountersignProcess;
  /** Registers an app and starts its issuer. */
  addApp(settings?: Json, traits?: IssuerTraits): Promise<AppWithIssuer>;
  /** Revokes a bearer, or asks whether it is active. */
  callOauth(endpoint: 'revoke' | 'introspect', token: string): Promise<Response>;
  /** Ends the idproxy by that signal and starts it again on the same port and folders. */
  restart(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>;
  /** What each process has logged so far. */
  readLogs(): readonly string[];
  stop(): Promise<void>;
}

/** Starts an idproxy with the echo bot for pages of `origin`. */
export async function startChain(origin: string, env: Environment = {}): Promise<Chain> {
  const folder = await createTempFolder();
  const shared = { COUNTERSIGN_CORS_ORIGINS: origin };
  const all = {
    ...shared,
    COUNTERSIGN_DATA_DIR: join(folder, 'data'),
    COUNTERSIGN_KEYS_DIR: join(folder, 'keys'),
    COUNTERSIGN_IDPROXY_PORT: String(await getFreePort()),
    COUNTERSIGN_ADMIN_TOKEN: ADMIN_TOKEN,
    COUNTERSIGN_BOT: 'echo',
    ...env,
  };
  const processes: CountersignProcess[] = [];
  const issuers: CountersignProcess[] = [];
  const launch = async (): Promise<CountersignProcess> => {
    const started = await startCountersign(['idproxy'], all);
    processes.push(started);
    return started;
  };
  let idproxy = await launch();
  const { idproxyUrl } = idproxy;
  const publicUrl = env['COUNTERSIGN_PUBLIC_URL'] ?? idproxyUrl;
  const register = (settings: Json): Promise<Response> =>
    fetch(`${idproxyUrl}/admin/apps`, {
      method: 'POST',
      headers: { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'Chat', ...settings }),
    });

  return {
    idproxyUrl: publicUrl,
    get idproxy() {
      return idproxy;
    },
    addApp: async (settings = {}, { algorithm = 'HS512', isEncrypting = false, claims } = {}) => {
      const pair = algorithm.startsWith('RS') ? createRsaPair() : undefined;
      const registered = await register({ algorithm, ...(pair && { publicKey: pair.publicKey }), ...settings });
      assert.equal(registered.status, 201);
      const { clientId, clientSecret, jwk } = (await registered.json()) as Record<
        'clientId' | 'clientSecret',
        string
      > & {
        jwk: object;
      };
      const [keyFile, claimsFile, privateFile] = ['jwk.json', 'claims.json', 'private.pem'].map((name) =>
        join(folder, clientId, name),
      );
      assert.ok(keyFile && claimsFile && privateFile);
      await mkdir(join(folder, clientId));
      await writeFile(keyFile, JSON.stringify(jwk));
      await writeFile(claimsFile, JSON.stringify({ '*': claims }));
      if (pair) await writeFile(privateFile, pair.privateKey, { mode: 0o600 });
      const issuer = await startCountersign(['issuer'], {
        ...shared,
        COUNTERSIGN_CALLER_AUTH: 'open',
        COUNTERSIGN_ALLOW_ANONYMOUS: 'true',
        COUNTERSIGN_CLIENT_ID: clientId,
        ...(pair ? { COUNTERSIGN_PRIVATE_KEY_FILE: privateFile } : { COUNTERSIGN_CLIENT_SECRET: clientSecret }),
        COUNTERSIGN_ALGORITHM: algorithm,
        ...(isEncrypting && { COUNTERSIGN_JWE_KEY_FILE: keyFile }),
        ...(claims && { COUNTERSIGN_CLAIMS_FILE: claimsFile }),
      });
      issuers.push(issuer);
      return { clientId, issuerUrl: issuer.issuerUrl };
    },
    callOauth: (endpoint, token) =>
      fetch(`${idproxyUrl}/oauth/${endpoint}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
        body: new URLSearchParams({ token }),
      }),
    restart: async (signal) => {
      idproxy.signal(signal);
      await idproxy.exited;
      idproxy = await launch();
    },
    readLogs: () => [...processes, ...issuers].map(({ stdout, stderr }) => stdout() + stderr()),
    stop: async () => {
      for (const running of [...issuers, ...processes]) await running.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
