import { X509Certificate } from 'node:crypto';

import type { Clock } from '../../core/clock.ts';
import { toIsoDate } from '../../core/clock.ts';
import { RENEWAL_PATH } from '../../tunnel/services.ts';
import type { AgentConfig, Credentials } from '../config/agent-config.ts';
import { toLifetime } from '../config/pem-files.ts';
import type { AppLog } from '../logs/app-log.ts';
import type { AuditEntry } from '../logs/audit-entry.ts';
import type { AskGateway, ServiceReply } from '../service-call.ts';
import { createKeyAndRequest } from './certificate-request.ts';
import { checkRenewed } from './check-renewed.ts';
import { findWarning, isDue } from './expiry.ts';
import { finishReplacement, replaceCredentials, writeNextKey } from './replace-credentials.ts';

/** How often the certificate's end is looked at, in milliseconds; a random part of as much again is added. */
export const CHECK_EXPIRY_EVERY_MS = 3_600_000;
/** The wait after the first renewal that failed, at most, in milliseconds. It doubles, up to {@link CHECK_EXPIRY_EVERY_MS}. */
export const MIN_RENEWAL_RETRY_MS = 60_000;
/** Until the first look after the start, in milliseconds: connections to gateways come first. */
export const FIRST_CHECK_MS = 15_000;

export interface RenewalDeps {
  readonly config: () => Pick<AgentConfig, 'credentials'>;
  readonly ask: AskGateway;
  readonly clock: Clock;
  /** A random whole number from 0 up to, but not including, `below`. */
  readonly random: (below: number) => number;
  readonly log: AppLog;
  readonly audit: (fields: AuditEntry) => void;
  /** The files have changed: they are read soon. */
  readonly onReplaced: () => void;
  /** Milliseconds instead of the constants. */
  readonly firstCheckMs?: number;
  readonly checkEveryMs?: number;
  readonly minRetryMs?: number;
}

export interface Renewal {
  /** Looks at the certificate now. Resolves when that is done. */
  check(): Promise<void>;
  stop(): Promise<void>;
}

/** What errors of folders that may not be written are called. */
const READ_ONLY = new Set(['EACCES', 'EPERM', 'EROFS']);

/** A gateway that does not sign. */
class NotRenewedError extends Error {
  override readonly name = 'NotRenewedError';
}

/** Keeps the certificate of an agent from ending: a new key with a new certificate when a third of its life is left. */
export function startRenewal(deps: RenewalDeps): Renewal {
  const { config, ask, clock, random, log, audit, onReplaced } = deps;
  const {
    firstCheckMs = FIRST_CHECK_MS,
    checkEveryMs = CHECK_EXPIRY_EVERY_MS,
    minRetryMs = MIN_RENEWAL_RETRY_MS,
  } = deps;
  let timer: NodeJS.Timeout | undefined;
  let isStopped = false;
  let failures = 0;
  let hasFinished = false;
  /** Serials of certificates with the step that was told of. */
  let warned: { serial: string; days: number } | undefined;
  /** A certificate that was asked for, until the configuration has the next one. */
  let renewedSerial: string | undefined;

  const warn = ({ serialNumber }: X509Certificate, endsAt: number): void => {
    const step = findWarning(endsAt, clock.nowSeconds());
    if (step === undefined || (warned?.serial === serialNumber && warned.days <= step.days)) return;
    warned = { serial: serialNumber, days: step.days };
    const left = Math.max(0, Math.floor((endsAt - clock.nowSeconds()) / 3_600));
    log[step.level]('the certificate of the connector ends soon', { endsAt: toIsoDate(endsAt), hoursLeft: left });
  };

  const renew = async (credentials: Credentials, paths: NonNullable<Credentials['paths']>): Promise<void> => {
    const { key, csr } = await createKeyAndRequest(credentials.key.reveal(), credentials.connectorId);
    // First: a folder that may not be written must not cost a certificate each time.
    await writeNextKey(paths, key);
    try {
      const request = { service: 'renewal', target: RENEWAL_PATH, fields: [], body: Buffer.from(csr) } as const;
      const text = toCertificate(await ask(request));
      const renewed = checkRenewed(text, key, credentials, clock.nowSeconds());
      await replaceCredentials(paths, renewed.pem);
      const about = { serial: renewed.serial, endsAt: toIsoDate(renewed.expiresAt) };
      log.info('the certificate of the connector is renewed', about);
      audit({ act: 'renewed', ...about });
    } catch (error) {
      await finishReplacement(paths).catch(() => undefined);
      throw error;
    }
    onReplaced();
  };

  const check = async (): Promise<void> => {
    const { credentials } = config();
    const leaf = new X509Certificate(credentials.cert);
    const lifetime = toLifetime(leaf);
    const { paths } = credentials;
    try {
      if (paths !== undefined && !hasFinished && (await finishReplacement(paths))) onReplaced();
      hasFinished = true;
      const isNew = leaf.serialNumber !== renewedSerial;
      if (paths !== undefined && isNew && isDue(lifetime, clock.nowSeconds())) {
        await renew(credentials, paths);
        renewedSerial = leaf.serialNumber;
        failures = 0;
        return;
      }
      failures = 0;
    } catch (error) {
      failures++;
      onFailure(error, lifetime.endsAt);
    }
    warn(leaf, lifetime.endsAt);
  };

  const onFailure = (error: unknown, endsAt: number): void => {
    const about = { endsAt: toIsoDate(endsAt), error };
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (READ_ONLY.has(code)) {
      log.warn(
        'the certificate cannot be renewed: the agent may not write beside "credentials.key" and "credentials.cert"; let its user write there, or replace both files by hand before the end',
        about,
      );
      return;
    }
    log.error('the certificate of the connector could not be renewed; it is tried again', about);
  };

  const plan = (ms: number): void => {
    if (!isStopped) timer = setTimeout(() => void (working = work()), ms).unref();
  };
  const work = async (): Promise<void> => {
    await check();
    const longest =
      failures === 0 ? checkEveryMs : Math.min(checkEveryMs, minRetryMs * 2 ** Math.min(failures - 1, 16));
    plan(longest / 2 + random(Math.ceil(longest) + 1));
  };
  let working: Promise<void> = Promise.resolve();
  plan(firstCheckMs / 2 + random(Math.ceil(firstCheckMs)));

  return {
    check: async () => {
      await working;
      await check();
    },
    stop: async () => {
      isStopped = true;
      clearTimeout(timer);
      await working;
    },
  };
}

function toCertificate(reply: ServiceReply | undefined): string {
  if (reply === undefined) throw new NotRenewedError('no gateway is connected');
  const { status, body, connectorError = '' } = reply;
  if (status !== 200) throw new NotRenewedError(`the gateway answered ${status} ${connectorError}`);
  return body;
}
