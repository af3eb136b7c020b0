import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

import type { Credentials } from '../../../../src/connector/config/agent-config.ts';
import { toConnectorId, toLifetime, parseCertificates } from '../../../../src/connector/config/pem-files.ts';
import { Secret } from '../../../../src/core/secret.ts';
import { KEYS, startOpenssl } from '../../gateway/openssl.ts';
import { type RegistriesUnderTest, startRegistries } from '../../gateway/registries-under-test.ts';

/** A connector whose credentials lie in a folder, and the registry that certified them. */
export interface CredentialsUnderTest {
  readonly registries: RegistriesUnderTest;
  readonly connectorId: string;
  readonly paths: { readonly key: string; readonly cert: string };
  /** What lies there now. */
  read(): Promise<Credentials>;
}

export async function startCredentials(t: TestContext): Promise<CredentialsUnderTest> {
  const registries = await startRegistries(t);
  const openssl = await startOpenssl(t);
  const { id } = await registries.create();
  const { certificate, ca } = await registries.connectors.addCertificate(id, await openssl.request(KEYS['P-256']));
  const folder = join(openssl.folder, 'credentials');
  await mkdir(folder);
  const paths = { key: join(folder, 'a.key'), cert: join(folder, 'a.pem') };
  await writeFile(paths.key, await readFile(join(openssl.folder, 'it.key')), { mode: 0o600 });
  await writeFile(paths.cert, certificate, { mode: 0o644 });
  return {
    registries,
    connectorId: id,
    paths,
    read: async () => {
      const [key, cert] = await Promise.all([readFile(paths.key, 'utf8'), readFile(paths.cert, 'utf8')]);
      const [leaf] = parseCertificates(cert);
      if (leaf === undefined) throw new Error('no certificate');
      const expiresAt = toLifetime(leaf).endsAt;
      return { key: new Secret(key), cert, ca, connectorId: toConnectorId(leaf) ?? '', expiresAt, paths };
    },
  };
}
