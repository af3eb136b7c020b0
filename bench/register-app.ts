import type { BenchApp } from './assertions.ts';

/** Registers an app for the load. @throws Error where it is refused */
export async function registerApp(url: string, adminToken: string): Promise<BenchApp> {
  const answer = await fetch(`${url}/admin/apps`, {
    method: 'POST',
    headers: { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'Bench', algorithm: 'HS256', enforceJti: true }),
  });
  if (answer.status !== 201) throw new Error(`no app was registered: ${answer.status} ${await answer.text()}`);
  return (await answer.json()) as BenchApp;
}
