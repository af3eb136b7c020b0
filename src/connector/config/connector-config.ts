import type { Secret } from '../../core/secret.ts';
import { checkPathEntry } from '../../tunnel/paths.ts';
import { type Credentials, type ProxySettings, type WebhookSettings } from './agent-config.ts';
import { MAX_PEM_BYTES } from './config-files.ts';
import { readGatewayUrl, readHost, readNoProxy } from './hosts.ts';
import type { JsonNode } from './json-positions.ts';
import { logger } from './logger-config.ts';
import { authoritiesFile, certificateFile, isKeyOf, keyFile, NEXT, passwordFile } from './named-files.ts';
import { parseCertificates, toConnectorId, toDay, toLifetime } from './pem-files.ts';
import {
  flag,
  list,
  may,
  must,
  object,
  or,
  port,
  type Reader,
  type Scope,
  text,
  type Whole,
  wholeNumber,
} from './shape.ts';

/** Processes that share the load of one agent, at most. */
export const MAX_WORKERS = 64;
/** Addresses of gateways, at most. */
export const MAX_GATEWAY_URLS = 8;
/** Hosts that are dialled without the proxy, at most. */
export const MAX_NO_PROXY = 100;
/** Routes of webhooks, at most. */
export const MAX_WEBHOOK_ROUTES = 100;
/** How long before its end a certificate is warned of, in days. */
export const CERTIFICATE_WARNING_DAYS = 14;

const DAY_SECONDS = 86_400;
const MAX_CREDENTIAL_LENGTH = 255;

/** What the seed calls them. */
const CREDENTIAL_FILES = {
  key: './credentials/Kore.aiConnector.key',
  cert: './credentials/Kore.aiConnectorCert.pem',
} as const;

const readCredentials = object({
  key: or(
    keyFile(
      '; make it with the openssl command that the page of the connector shows, in the folder of the credentials',
    ),
    CREDENTIAL_FILES.key,
  ),
  cert: or(
    certificateFile(
      '; paste Kore.aiConnector.csr into "Generate Certificate" and save what comes back under this name',
    ),
    CREDENTIAL_FILES.cert,
  ),
  ca: or(authoritiesFile('; it comes with the package of the connector'), './credentials/ca.crt'),
});

/** The path that a member of the credentials names. */
function toCredentialPath(node: JsonNode, name: 'key' | 'cert', scope: Scope): string {
  const given = node.kind === 'object' ? node.members.get(name)?.value : undefined;
  return scope.files.toPath(given?.kind === 'string' ? given.value : CREDENTIAL_FILES[name]);
}

/**
 * The certificate that the key is for. A renewal that was cut off between its two files has left it beside the former
 * one.
 */
function pickCertificate(key: Secret, cert: string, path: string, scope: Scope): string | undefined {
  if (isKeyOf(key, cert)) return cert;
  const next = scope.files.read(`${path}${NEXT}`, MAX_PEM_BYTES).content?.toString('utf8');
  try {
    return next !== undefined && isKeyOf(key, next) ? next : undefined;
  } catch {
    return undefined;
  }
}

const credentials: Reader<Credentials> = (node, field, scope) => {
  const found = readCredentials(node, field, scope);
  if (found === undefined) return undefined;
  const at = (node.kind === 'object' && node.members.get('cert')?.value.at) || node.at;
  const paths = { key: toCredentialPath(node, 'key', scope), cert: toCredentialPath(node, 'cert', scope) };
  const cert = pickCertificate(found.key, found.cert, paths.cert, scope);
  if (cert === undefined) {
    scope.fault(at, `${field}.cert`, 'the certificate was made for another key than "credentials.key"');
  }
  const [leaf] = parseCertificates(cert ?? found.cert);
  if (leaf === undefined) return undefined;
  const connectorId = toConnectorId(leaf);
  if (connectorId === undefined) scope.fault(at, `${field}.cert`, 'the certificate names no connector');
  if (cert === undefined || connectorId === undefined) return undefined;
  const expiresAt = toLifetime(leaf).endsAt;
  if (expiresAt - scope.nowSeconds < CERTIFICATE_WARNING_DAYS * DAY_SECONDS) {
    scope.warn(at, `${field}.cert`, `the certificate ends on ${toDay(expiresAt)}`);
  }
  return { ...found, cert, connectorId, expiresAt, paths };
};

const proxyUser = text((value) => {
  if (value.includes(':') || value.length > MAX_CREDENTIAL_LENGTH) {
    throw new Error(`must have no colon and at most ${MAX_CREDENTIAL_LENGTH} characters`);
  }
  return value;
});

const readTunnel = object({
  proxyHost: must(text(readHost)),
  proxyPort: must(port),
  user: may(proxyUser),
  passwordFile: may(passwordFile),
  noProxy: may(list(text(readNoProxy), 0, MAX_NO_PROXY)),
});
/** No proxy where the object is empty. */
const tunnel: Reader<ProxySettings | false> = (node, field, scope) => {
  if (node.kind === 'object' && node.members.size === 0) return false;
  const found = readTunnel(node, field, scope);
  if (found === undefined) return undefined;
  const { proxyHost, proxyPort, user, passwordFile: password, noProxy = [] } = found;
  if (password !== undefined && user === undefined) {
    scope.fault(node.at, `${field}.user`, 'is needed by "passwordFile"');
    return undefined;
  }
  return { host: proxyHost, port: proxyPort, ...(user && { user }), ...(password && { password }), noProxy };
};

/** A name on the gateway's list of targets. */
const TARGET_NAME = /^[A-Za-z\d][\w.-]{0,63}$/;
const webhookTarget = text((value) => {
  if (TARGET_NAME.test(value)) return value;
  const url = URL.canParse(value) ? new URL(value) : undefined;
  const isHttp = url?.protocol === 'https:' || url?.protocol === 'http:';
  if (!isHttp || url.username !== '' || url.password !== '' || url.hash !== '') {
    throw new Error('must be a name of the gateway, or a URL, http or https, without a user and without #');
  }
  return url.href;
});
const webhookPath = text((value) => {
  if (value.includes('*')) throw new Error('must be one path, without *');
  checkPathEntry(value);
  return value;
});
const readWebhooks = object({
  port: must(port),
  routes: must(list(object({ path: must(webhookPath), target: must(webhookTarget) }), 1, MAX_WEBHOOK_ROUTES)),
});
const webhooks: Reader<WebhookSettings> = (node, field, scope) => {
  const found = readWebhooks(node, field, scope);
  if (found === undefined || new Set(found.routes.map(({ path }) => path)).size === found.routes.length) return found;
  scope.fault(node.at, `${field}.routes`, 'has two routes of one path');
  return undefined;
};

/** Addresses of gateways, each once. */
export const gatewayUrls: Reader<readonly string[]> = (node, field, scope) => {
  const urls = readGatewayUrls(node, field, scope);
  if (urls === undefined || new Set(urls).size === urls.length) return urls;
  scope.fault(node.at, field, 'names a gateway twice');
  return undefined;
};
const readGatewayUrls = list(text(readGatewayUrl), 1, MAX_GATEWAY_URLS);

const CONNECTOR_CONFIG = {
  credentials: or(credentials, null),
  logger: or(logger, null),
  cluster: or(object({ enabled: or(flag, true), workers: or(wholeNumber(1, MAX_WORKERS), 2) }), null),
  tunnel: may(tunnel),
  gateway: may(object({ urls: must(gatewayUrls) })),
  webhooks: may(webhooks),
} as const;

/** What stands in `connectorconfig.json` (seed: "Default configuration settings"); each member may be left out. */
export const readConnectorConfig: Reader<Whole<typeof CONNECTOR_CONFIG>> = object(CONNECTOR_CONFIG);

/** What stands in the `gateway.json` of a package. */
export const readPackageGateway = object({ urls: must(gatewayUrls), id: may(text((id) => id)) });

/** Whether a file has something to say about gateways, right or wrong. */
export const namesGateway = (root: JsonNode): boolean => root.kind === 'object' && root.members.has('gateway');
