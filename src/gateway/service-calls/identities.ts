import { join } from 'node:path';

import { type Clock, toIsoDate } from '../../core/clock.ts';
import { AppError } from '../../core/errors.ts';
import type { Logger } from '../../http/access-log.ts';
import { createExpiryWatch } from './expiry.ts';
import { IdentityFault, type ServiceIdentity, toOneLine } from './identity.ts';
import { listIdentityNames, readIdentityFiles, readStamp, type Stamp } from './identity-files.ts';
import { parseIdentity } from './parse-identity.ts';

/** How often the folder is looked at for changes, in milliseconds. */
export const LOOK_EVERY_MS = 2_000;
/** What is presented where a call names none. */
export const DEFAULT_IDENTITY = 'default';

/** The public side of an identity. */
export interface PublicIdentity {
  readonly name: string;
  readonly subject: string;
  readonly issuer: string;
  /** Lower-case hexadecimal. */
  readonly serial: string;
  readonly notBefore: string;
  readonly notAfter: string;
  /** PEM: the client certificate, then what leads to its authority. */
  readonly certificates: string;
}

/** The client certificates of service calls. */
export interface ServiceIdentities {
  /** Names of those that can be used. */
  names(): readonly string[];
  /**
   * The one of a name; without a name the default one.
   * @returns undefined where there is no default
   * @throws AppError `service_identity_unknown`, also where its files cannot be used
   */
  select(name: string | undefined): ServiceIdentity | undefined;
  list(): readonly PublicIdentity[];
  /** Reads what has changed. What cannot be used is logged, and the former version counts. Never throws. */
  refresh(): Promise<void>;
  close(): void;
}

export interface ServiceIdentitiesDeps {
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Entry {
  readonly stamp: Stamp;
  /** The last one that could be used. */
  readonly identity: ServiceIdentity | undefined;
  /** Why its files cannot be used now. */
  readonly fault: string | undefined;
}

/** For a gateway without identities. */
export const NO_IDENTITIES: ServiceIdentities = {
  names: () => [],
  select: (name) => {
    if (name !== undefined) throw new AppError('service_identity_unknown', { detail: 'there are none' });
    return undefined;
  },
  list: () => [],
  refresh: async () => undefined,
  close: () => undefined,
};

/**
 * Loads `<folder>/<name>/…` and looks for changes until it is closed. An identity that cannot be used keeps none of the
 * others, nor the gateway, from working: its faults are in the log.
 * @throws IdentityFault where the folder itself cannot be read
 */
export async function loadServiceIdentities(
  folder: string,
  { clock, logger }: ServiceIdentitiesDeps,
): Promise<ServiceIdentities> {
  let entries: ReadonlyMap<string, Entry> = new Map();
  const warnOfExpiry = createExpiryWatch(logger);

  const look = async (name: string): Promise<Entry> => {
    const path = join(folder, name);
    const before = entries.get(name);
    const stamp = await readStamp(path);
    // One that cannot be used is tried again: its time may have come.
    if (before && before.stamp === stamp && before.fault === undefined) return before;
    try {
      const identity = await parseIdentity(name, await readIdentityFiles(path), clock.nowSeconds());
      logger.info({ identity: name, notAfter: toIsoDate(identity.notAfter) }, 'client certificate loaded');
      return { stamp, identity, fault: undefined };
    } catch (error) {
      if (!(error instanceof IdentityFault)) throw error;
      const fault = error.message;
      const keeps = before?.identity === undefined ? 'it cannot be used' : 'the former one stays in use';
      if (before?.fault !== fault) logger.error({ identity: name, problem: fault }, `client certificate: ${keeps}`);
      return { stamp, identity: before?.identity, fault };
    }
  };

  const refresh = async (): Promise<void> => {
    const names = await listIdentityNames(folder);
    const next = new Map<string, Entry>();
    for (const name of names) next.set(name, await look(name));
    for (const name of entries.keys())
      if (!next.has(name)) logger.warn({ identity: name }, 'client certificate is gone');
    entries = next;
    for (const { identity } of next.values()) if (identity) warnOfExpiry(identity, clock.nowSeconds());
  };

  await refresh();
  let pending: Promise<void> | undefined;
  let problem: string | undefined;
  const refreshQuietly = (): Promise<void> => {
    pending ??= refresh()
      .then(() => {
        problem = undefined;
      })
      .catch((error: unknown) => {
        const message = error instanceof IdentityFault ? error.message : 'an unforeseen fault';
        if (message !== problem)
          logger.error({ problem: message }, 'client certificates: those that are loaded stay in use');
        problem = message;
      })
      .finally(() => {
        pending = undefined;
      });
    return pending;
  };
  const timer = setInterval(() => void refreshQuietly(), LOOK_EVERY_MS).unref();
  const usable = (): readonly ServiceIdentity[] =>
    [...entries.values()].map(({ identity }) => identity).filter((identity) => identity !== undefined);

  return {
    names: () => usable().map(({ name }) => name),
    select: (name) => {
      const entry = entries.get(name ?? DEFAULT_IDENTITY);
      if (entry === undefined && name === undefined) return undefined;
      // SECURITY: without the default that is configured, a call must not go out as nobody.
      if (entry?.identity === undefined)
        throw new AppError('service_identity_unknown', { detail: entry?.fault ?? 'no such folder' });
      return entry.identity;
    },
    list: () => usable().map(toPublicIdentity),
    refresh: refreshQuietly,
    close: () => clearInterval(timer),
  };
}

function toPublicIdentity({ name, certificate, chain, notBefore, notAfter }: ServiceIdentity): PublicIdentity {
  return {
    name,
    subject: toOneLine(certificate.subject),
    issuer: toOneLine(certificate.issuer),
    serial: certificate.serialNumber.toLowerCase(),
    notBefore: toIsoDate(notBefore),
    notAfter: toIsoDate(notAfter),
    certificates: [certificate, ...chain].map((one) => one.toString()).join(''),
  };
}
