import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** Whom the certificate of the installations is for. */
export const CONNECTOR_ID = 'cn-4ac1a8a2-5f09-4a6b-9d3f-0d7b4c2f1e55';

/** The seed's `config/connectorconfig.json`, byte for byte. */
export const SEED_CONFIG = `{
   "credentials":{
      "key":"./credentials/Kore.aiConnector.key",
      "cert":"./credentials/Kore.aiConnectorCert.pem",
      "ca":"./credentials/ca.crt"
   },
   "logger":{
      "applogs":{
         "path":"./logs",
         "level":"info"
      },
      "auditlogs":{
         "path":"./audits",
         "level":"info"
      }
   },
   "cluster":{
      "enabled":true,
      "workers":2
   }
}
`;

/** The seed's sample of an outbound proxy, byte for byte: its last member. */
export const SEED_TUNNEL = `   "tunnel":{
      "proxyHost":"hostname",
      "proxyPort":"portnumber"
   }
}
`;

export const ACCESS = `[
  {
    "virtualhost": "crm.virtual",
    "virtualport": 8080,
    "internalhost": "10.1.2.3",
    "internalport": "8000",
    "protocol": "HTTP",
    "allowedPaths": "/*"
  }
]
`;

export const GATEWAY = `{ "urls": ["https://gateway.example:8443"] }\n`;

const openssl = (folder: string, ...args: string[]): void => {
  execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
};

/** Keys and certificates as an operator would have them, made once for a test file. */
function createCredentials(folder: string): void {
  const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  openssl(
    folder,
    'req',
    '-x509',
    ...EC,
    '-keyout',
    'ca.key',
    '-out',
    'ca.crt',
    '-subj',
    '/CN=Test CA',
    '-days',
    '3650',
  );
  const issue = (key: string, cert: string, subject: string, ...more: string[]): void => {
    openssl(folder, 'req', '-new', ...EC, '-keyout', key, '-out', `${cert}.csr`, '-subj', subject, ...more);
    const authority = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-days', '3650', '-copy_extensions', 'copy'];
    openssl(folder, 'x509', '-req', '-in', `${cert}.csr`, '-out', cert, ...authority);
  };
  const uri = `subjectAltName=URI:urn:countersign:connector:${CONNECTOR_ID}`;
  issue('Kore.aiConnector.key', 'Kore.aiConnectorCert.pem', '/O=default/CN=x y', '-addext', uri);
  issue('client.key', 'client.pem', '/CN=client');
  issue('nobody.key', 'nobody.pem', '/O=nobody');
  openssl(folder, 'pkcs8', '-topk8', '-in', 'client.key', '-out', 'encrypted.key', '-passout', 'pass:secret');
  writeFileSync(join(folder, 'damaged.pem'), '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n');
  writeFileSync(join(folder, 'damaged.key'), '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n');
  writeFileSync(join(folder, 'text.txt'), 'nothing of that kind\n');
  writeFileSync(join(folder, 'password.txt'), 'pr0xy-passw0rd\r\n');
  writeFileSync(join(folder, 'two-lines.txt'), 'one\ntwo\n');
  writeFileSync(join(folder, 'empty.txt'), '');
}

/** An installation folder of the agent. */
export interface Installation {
  readonly folder: string;
  /** Writes a file below the folder; undefined removes it. */
  write(name: string, content: string | Buffer | undefined): void;
  path(name: string): string;
}

/** Makes installations that share one set of credentials. */
export function createInstallations(): { create(): Installation; remove(): void } {
  const root = mkdtempSync(join(tmpdir(), 'countersign-agent-'));
  const credentials = join(root, 'credentials');
  mkdirSync(credentials);
  createCredentials(credentials);
  let count = 0;
  return {
    create: () => {
      const folder = join(root, `agent-${++count}`);
      const path = (name: string): string => join(folder, name);
      const write = (name: string, content: string | Buffer | undefined): void => {
        if (content === undefined) {
          rmSync(path(name));
          return;
        }
        mkdirSync(dirname(path(name)), { recursive: true });
        writeFileSync(path(name), content);
      };
      cpSync(credentials, path('credentials'), { recursive: true });
      write('config/connectorconfig.json', SEED_CONFIG);
      write('config/configs/accesscontrol.json', ACCESS);
      write('config/gateway.json', GATEWAY);
      return { folder, write, path };
    },
    remove: () => rmSync(root, { recursive: true }),
  };
}
