import { execFile } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { createTempFolder } from './processes.ts';

const run = promisify(execFile);

/** A key and its certificate, as files and as text. */
export interface Issued {
  readonly keyFile: string;
  readonly certFile: string;
  readonly key: string;
  readonly cert: string;
}

/** What a certificate is to say. */
export interface Wanted {
  readonly commonName: string;
  /** `DNS:localhost,IP:127.0.0.1`. */
  readonly names?: string;
  /** An authority of its own. */
  readonly isAuthority?: boolean;
  /** `YYYYMMDDHHMMSSZ`; a day ago to in two days where they are left out. */
  readonly from?: string;
  readonly to?: string;
}

/** A root made by openssl, and whatever it signs. */
export interface CertificateAuthority extends Issued {
  readonly folder: string;
  /** `issuer`: an intermediate that signs instead of the root. */
  issue(wanted: Wanted, issuer?: Issued): Promise<Issued>;
  remove(): Promise<void>;
}

const CONFIG = `[ca]
default_ca = ours
[ours]
database = index.txt
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
copy_extensions = none
[any]
commonName = supplied
`;

const toStamp = (day: number): string =>
  new Date(Date.now() + day * 86_400_000).toISOString().replaceAll(/[-:T]|\.\d+/g, '');

/** Makes a root in a folder of its own. Whoever asks for it removes it. */
export async function createCertificateAuthority(
  name: string,
  span: Pick<Wanted, 'from' | 'to'> = {},
): Promise<CertificateAuthority> {
  const folder = await createTempFolder();
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'ca.cnf'), CONFIG);
  await writeFile(join(folder, 'index.txt'), '');
  let count = 0;
  const openssl = (...args: string[]) => run('openssl', args, { cwd: folder });

  const issue = async (wanted: Wanted, issuer: Issued | undefined): Promise<Issued> => {
    count += 1;
    const [key, csr, cert, extensions] = ['key', 'csr', 'crt', 'ext'].map((end) => join(folder, `${count}.${end}`)) as [string, string, string, string]; // prettier-ignore
    const { commonName, names, isAuthority = false, from = toStamp(-1), to = toStamp(2) } = wanted;
    await writeFile(
      extensions,
      `basicConstraints=critical,CA:${isAuthority ? 'TRUE' : 'FALSE'}\n${names === undefined ? '' : `subjectAltName=${names}\n`}`,
    );
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    await openssl('req', '-new', ...curve, '-subj', `/CN=${commonName}`, '-keyout', key, '-out', csr);
    const signer = issuer ? ['-cert', issuer.certFile, '-keyfile', issuer.keyFile] : ['-selfsign', '-keyfile', key];
    const span = ['-startdate', from, '-enddate', to];
    await openssl('ca', '-config', 'ca.cnf', '-batch', '-notext', ...signer, ...span, '-extfile', extensions, '-in', csr, '-out', cert); // prettier-ignore
    return { keyFile: key, certFile: cert, key: await readFile(key, 'utf8'), cert: await readFile(cert, 'utf8') };
  };

  const root = await issue({ commonName: name, isAuthority: true, ...span }, undefined);
  return {
    ...root,
    folder,
    issue: (wanted, issuer = root) => issue(wanted, issuer),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}
