import type { Secret } from '../../core/secret.ts';
import type { AccessRule } from '../../tunnel/access.ts';
import type { LogLevel } from '../logs/levels.ts';

/** One kind of log file. What is left out has the default of whoever writes the files. */
export interface LogSettings {
  /** The folder, absolute. */
  readonly path: string;
  readonly level: LogLevel;
  /** What stands before `.<dd-MM-yyyy>` in the names of the files. */
  readonly prefix: string;
  /** The largest size of one file, in bytes. */
  readonly maxFileBytes?: number;
  /** The largest size of all files of this kind, in bytes. */
  readonly maxTotalBytes?: number;
  /** How long files are kept, in days. */
  readonly maxAgeDays?: number;
}

/** An HTTP proxy that outbound connections go through. */
export interface ProxySettings {
  /** An IPv6 address without brackets. */
  readonly host: string;
  readonly port: number;
  readonly user?: string;
  readonly password?: Secret;
  /** Hosts that are dialled without it, lower case: `host`, `.suffix` for all below it, or `*`. */
  readonly noProxy: readonly string[];
}

/** What the agent shows to gateways, and what it trusts there. PEM texts. */
export interface Credentials {
  readonly key: Secret;
  /** The certificate, followed by intermediate ones where there are any. */
  readonly cert: string;
  readonly ca: string;
  /** Whom the certificate is for: the id of the connector. */
  readonly connectorId: string;
  /** The certificate's end, in seconds since the epoch. */
  readonly expiresAt: number;
  /** Where key and certificate lie, absolute: the agent renews them there. */
  readonly paths?: { readonly key: string; readonly cert: string };
}

/** How the agent speaks TLS with one application. PEM texts. */
export interface ApplicationTls {
  /** Trusted instead of the authorities of the system. */
  readonly ca?: string;
  /** The name that the application's certificate must have; the internal host where it is left out. */
  readonly serverName?: string;
  readonly key?: Secret;
  /** The client certificate, followed by its chain. Together with `key` or not at all. */
  readonly cert?: string;
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3';
}

/** One application: how callers name it, and where it is. */
export interface Mapping {
  readonly name: string;
  /** Lower case, without a final dot; an IPv6 address without brackets. */
  readonly virtualHost: string;
  readonly virtualPort: number;
  /** An IPv6 address without brackets. */
  readonly internalHost: string;
  readonly internalPort: number;
  readonly protocol: 'http' | 'https';
  readonly allowedPaths: '/*' | readonly string[];
  /** Upper case; all where it is left out. */
  readonly allowedMethods?: readonly string[];
  readonly upgrade: boolean;
  readonly allowEncodedSlash: boolean;
  /** Until the application answers; the agent's own limit where it is left out. */
  readonly timeoutSeconds?: number;
  readonly tls?: ApplicationTls;
}

export interface WebhookRoute {
  readonly path: string;
  /** What the gateway calls it, or the URL that it has on the gateway's list. */
  readonly target: string;
}

/** On-premises applications push to this loopback port. */
export interface WebhookSettings {
  readonly port: number;
  readonly routes: readonly WebhookRoute[];
}

/** Everything an agent is told, frozen. */
export interface AgentConfig {
  readonly credentials: Credentials;
  readonly logs: { readonly app: LogSettings; readonly audit: LogSettings };
  readonly cluster: { readonly enabled: boolean; readonly workers: number };
  readonly proxy?: ProxySettings;
  /** Origins, `https://gateway.example:8443`. */
  readonly gatewayUrls: readonly string[];
  readonly webhooks?: WebhookSettings;
  readonly mappings: readonly Mapping[];
  /** What works but should be looked at, one sentence each. */
  readonly warnings: readonly string[];
}

/** A configuration that is not taken. Lists everything that is wrong with it. */
export class AgentConfigError extends Error {
  override readonly name = 'AgentConfigError';
  /** `config/configs/accesscontrol.json:12:17: "allowedPaths": …` */
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(`the configuration has ${faults.length} fault(s):\n${faults.map((fault) => `  - ${fault}`).join('\n')}`);
    this.faults = faults;
  }
}

/** What the gateway is told of a mapping: nothing of the inside. */
export function toAccessRule(mapping: Mapping): AccessRule {
  const { virtualHost, virtualPort, name, allowedPaths, allowedMethods, upgrade, allowEncodedSlash } = mapping;
  return {
    host: virtualHost,
    port: virtualPort,
    name,
    allowedPaths,
    ...(allowedMethods && { allowedMethods }),
    upgrade,
    allowEncodedSlash,
  };
}
