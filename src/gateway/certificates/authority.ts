import { createPrivateKey, generateKeyPairSync, webcrypto } from 'node:crypto';

import { z } from 'zod';

import type { Clock } from '../../core/clock.ts';
import { AppError } from '../../core/errors.ts';
import { Secret } from '../../core/secret.ts';
import type { DocumentStore, StoredDocument } from '../../stores/ports.ts';
import { reseal, type Vault, VaultError } from '../../vault/vault.ts';
import type { IssuedCertificate } from '../connector.ts';
import { parseCertificateRequest } from './certificate-request.ts';
import { createSerial, issueLeaf, type LeafRequest, SIGNING, toAltName, toName, toPemText } from './issue.ts';
import { loadX509 } from './x509.ts';

/** Life of the authority's own certificate, in days. */
export const AUTHORITY_LIFETIME_DAYS = 3_652;
/** Life of a connector's certificate whose request was pasted, in days. */
export const CONNECTOR_LIFETIME_DAYS = 90;
/** Life of a certificate that was renewed over the tunnel, in days. */
export const RENEWED_LIFETIME_DAYS = 45;
/** Life of a gateway's own certificate, in days. Its process makes another one at two thirds of it. */
export const SERVER_LIFETIME_DAYS = 30;
/** How long before now a certificate begins, in seconds: clocks differ. */
export const BACKDATED_SECONDS = 300;

const DAY_SECONDS = 86_400;
/** Of processes that start together all try to insert it, and all use the winner's. */
const AUTHORITY_ID = 'ca-1';
const CONTEXT = `gateway-key:${AUTHORITY_ID}`;
const ORGANIZATION = 'Countersign';
const ALWAYS_NAMED = ['localhost', '127.0.0.1', '::1'] as const;
/** A label may begin with a star: the gateway's own name is what connectors check. */
const HOST_NAME = /^(?:\*\.)?[a-z\d](?:[a-z\d-]{0,61}[a-z\d])?(?:\.[a-z\d](?:[a-z\d-]{0,61}[a-z\d])?)*$/i;
const IP_ADDRESS = /^[\d.]+$|:/;

/** A certificate as it is handed out. */
export interface SignedCertificate extends IssuedCertificate {
  /** PEM. */
  readonly certificate: string;
}

/** What a gateway shows connectors and other gateways. */
export interface ServerIdentity {
  /** PEM, in memory only. */
  readonly key: Secret;
  /** PEM. */
  readonly certificate: string;
  /** PEM: what connectors and other gateways are verified by. */
  readonly ca: string;
  readonly expiresAt: number;
}

/** The authority that connectors and gateways trust, and no one else. */
export interface Authority {
  /** Its certificate, PEM. */
  readonly caPem: string;
  /**
   * Signs the key of a pasted request for a connector; nothing else of the request is taken over.
   * @throws AppError `invalid_request`
   */
  sign(csr: string, whose: { connectorId: string; company: string; lifetimeDays?: number }): Promise<SignedCertificate>;
  /** A certificate for a gateway under these names and addresses, and this machine's. @throws TypeError on what is neither */
  issueServer(node: string, names: readonly string[]): Promise<ServerIdentity>;
}

export interface AuthorityDeps {
  readonly documents: DocumentStore;
  readonly vault: Vault;
  readonly clock: Clock;
}

const storedAuthority = z.strictObject({ certificate: z.string(), sealedKey: z.string() });

/** The name by which certificates say whose they are. */
export const toConnectorUri = (connectorId: string): string => `urn:countersign:connector:${connectorId}`;
export const toGatewayUri = (node: string): string => `urn:countersign:gateway:${node}`;

/** The authority, loaded at the first use and then kept; the first process ever makes it. */
export function createAuthority(deps: AuthorityDeps): () => Promise<Authority> {
  let authority: Promise<Authority> | undefined;
  return async () => {
    authority ??= loadAuthority(deps);
    try {
      return await authority;
    } catch (error) {
      authority = undefined;
      if (!(error instanceof VaultError)) throw error;
      const detail = 'the authority of the connectors was made under another master key: bring back that master.key';
      throw new AppError('internal', { detail, cause: error });
    }
  };
}

async function loadAuthority({ documents, vault, clock }: AuthorityDeps): Promise<Authority> {
  const x509 = await loadX509();
  const read = (): Promise<StoredDocument | undefined> => documents.get('gateway-keys', AUTHORITY_ID);
  let stored = await read();
  if (stored === undefined) {
    const { certificate, key } = await makeAuthority(clock.nowSeconds());
    const body = JSON.stringify({ certificate, sealedKey: vault.seal(key, CONTEXT) });
    await documents.insert('gateway-keys', AUTHORITY_ID, body);
    stored = await read();
  }
  const parsed = storedAuthority.safeParse(toJson(stored?.body));
  if (!parsed.success)
    throw new AppError('internal', { detail: 'the stored authority cannot be read', cause: parsed.error });
  const caPem = parsed.data.certificate;
  const issuer = new x509.X509Certificate(caPem);
  const signingKey = await importKey(vault.open(parsed.data.sealedKey, CONTEXT));
  const endsAt = issuer.notAfter.getTime() / 1_000;

  const issue = async (
    leaf: Pick<LeafRequest, 'publicKey' | 'commonName' | 'organization' | 'altNames' | 'usages'>,
    lifetimeDays: number,
  ): Promise<SignedCertificate> => {
    const issuedAt = Math.floor(clock.nowSeconds());
    const expiresAt = Math.min(issuedAt + lifetimeDays * DAY_SECONDS, endsAt);
    const serial = createSerial();
    const times = { notBeforeSeconds: issuedAt - BACKDATED_SECONDS, notAfterSeconds: expiresAt };
    const certificate = await issueLeaf({ ...leaf, ...times, issuer, signingKey, serial });
    return { certificate, serial, issuedAt, expiresAt };
  };

  return {
    caPem,
    sign: async (csr, { connectorId, company, lifetimeDays = CONNECTOR_LIFETIME_DAYS }) => {
      const { publicKey } = await parseCertificateRequest(csr);
      const altNames = [{ type: 'url', value: toConnectorUri(connectorId) }] as const;
      const subject = { commonName: connectorId, organization: company };
      return issue({ publicKey, ...subject, altNames, usages: ['clientAuth'] }, lifetimeDays);
    },
    issueServer: async (node, names) => {
      const wrong = names.find((name) => !isServerName(name));
      if (wrong !== undefined) throw new TypeError(`${JSON.stringify(wrong)} is no host name and no address`);
      const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: SIGNING.namedCurve });
      const all = [...new Set([...names, ...ALWAYS_NAMED])];
      const { certificate, expiresAt } = await issue(
        {
          publicKey: publicKey.export({ type: 'spki', format: 'der' }),
          commonName: 'Countersign gateway',
          organization: ORGANIZATION,
          altNames: [...all.map(toAltName), { type: 'url', value: toGatewayUri(node) }],
          usages: ['serverAuth', 'clientAuth'],
        },
        SERVER_LIFETIME_DAYS,
      );
      const key = new Secret(privateKey.export({ type: 'pkcs8', format: 'pem' }) as string);
      return { key, certificate, ca: caPem, expiresAt };
    },
  };
}

/** The stored authority's body under the master key that seals now. @throws VaultError */
export function resealAuthority(vault: Vault, { body }: StoredDocument): string {
  const { certificate, sealedKey } = storedAuthority.parse(toJson(body));
  return JSON.stringify({ certificate, sealedKey: reseal(vault, sealedKey, CONTEXT) });
}

/** Whether a certificate can be for this name or address. */
export const isServerName = (name: string): boolean =>
  IP_ADDRESS.test(name) ? toAltName(name).type === 'ip' : name.length <= 253 && HOST_NAME.test(name);

function toJson(text = ''): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function importKey(pem: string): Promise<webcrypto.CryptoKey> {
  const der = createPrivateKey(pem).export({ type: 'pkcs8', format: 'der' });
  return webcrypto.subtle.importKey('pkcs8', der, SIGNING, false, ['sign']);
}

async function makeAuthority(nowSeconds: number): Promise<{ certificate: string; key: string }> {
  const x509 = await loadX509();
  const pair = generateKeyPairSync('ec', { namedCurve: SIGNING.namedCurve });
  const key = pair.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
  const publicKey = new x509.PublicKey(pair.publicKey.export({ type: 'spki', format: 'der' }));
  const issuedAt = Math.floor(nowSeconds);
  const serialNumber = createSerial();
  // The serial in its name: two authorities are never taken for one.
  const name = await toName(`Countersign connectors ${serialNumber.slice(0, 8)}`, ORGANIZATION);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber,
    subject: name,
    issuer: name,
    notBefore: new Date((issuedAt - BACKDATED_SECONDS) * 1_000),
    notAfter: new Date((issuedAt + AUTHORITY_LIFETIME_DAYS * DAY_SECONDS) * 1_000),
    publicKey,
    signingKey: await importKey(key),
    signingAlgorithm: SIGNING,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
    ],
  });
  return { certificate: toPemText(certificate), key };
}
