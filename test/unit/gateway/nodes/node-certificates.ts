import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { NodeIdentity } from '../../../../src/gateway/nodes/dial-node.ts';
import { KEYS, type Openssl } from '../openssl.ts';

/** An authority made with openssl, and what it signs. */
export interface NodeAuthority {
  /** A certificate with these subject alternative names, as openssl.cnf(5) has them. */
  sign(altNames: string): Promise<NodeIdentity>;
}

export async function createNodeAuthority(openssl: Openssl, name = 'ca'): Promise<NodeAuthority> {
  const read = (file: string): Promise<string> => readFile(join(openssl.folder, file), 'utf8');
  const key = [...KEYS['P-256'], '-nodes', '-keyout', `${name}.key`];
  await openssl.run('req', '-x509', '-new', ...key, '-out', `${name}.crt`, '-days', '2', '-subj', `/CN=${name}`);
  return {
    sign: async (altNames) => {
      await openssl.request(KEYS['P-256']);
      const config = `subjectAltName=@names\nextendedKeyUsage=serverAuth,clientAuth\n[names]\n${altNames}\n`;
      const extensions = ['-extfile', await openssl.write('it.cnf', config)];
      const signer = ['-CA', `${name}.crt`, '-CAkey', `${name}.key`, '-CAcreateserial'];
      await openssl.run('x509', '-req', '-in', 'it.csr', ...signer, ...extensions, '-out', 'it.crt', '-days', '1');
      return { key: await read('it.key'), cert: await read('it.crt'), ca: await read(`${name}.crt`) };
    },
  };
}
