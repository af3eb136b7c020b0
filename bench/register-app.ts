import type { BenchApp } from './assertions.ts';
import type { PlatformJwk } from './nested-assertions.ts';

/** An app that was registered, and the key of the platform that its assertions can be encrypted for. */
export interface RegisteredApp extends BenchApp {
  readonly jwk: PlatformJwk;
}

/**
 * Registers an app for the load, HS256 with a `jti` that is enforced unless `settings` say otherwise.
 * @throws Error where it is refused
 */
export async function registerApp(
  url: string,
  adminToken: string,
  settings: Readonly<Record<string, unknown>> = {},
): Promise<RegisteredApp> {
  const answer = await fetch(`${url}/admin/apps`, {
    method: 'POST',
    headers: { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'Bench', algorithm: 'HS256', enforceJti: true, ...settings }),
  });
  if (answer.status !== 201) throw new Error(`no app was registered: ${answer.status} ${await answer.text()}`);
  return (await answer.json()) as RegisteredApp;
}
