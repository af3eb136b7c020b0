import { isIP } from 'node:net';

import {
  type AddressRange,
  isMetadataAddress,
  isPublicAddress,
  parseRange,
  type PlainAddress,
} from '../../http/outbound/addresses.ts';
import type { AddressCheck } from '../../http/outbound/destination.ts';
import { toHost } from '../../http/outbound/host.ts';
import type { ServiceUrl } from './service-url.ts';

/** One entry of the list of where service calls may go. */
interface HostRule {
  readonly isSecure: boolean;
  /** For `*.example.com`: `.example.com`. */
  readonly host: string;
  readonly isWildcard: boolean;
  readonly port: number;
  /** Where it may lead; the public internet where there is none. */
  readonly ranges: readonly AddressRange[] | undefined;
}

/** Where service calls may go. */
export interface HostRules {
  readonly size: number;
  /**
   * What a URL may lead to.
   * @returns undefined where no entry names it
   */
  find(url: ServiceUrl): AddressCheck | undefined;
}

/** Entries that cannot be read; the message has one sentence for each. */
export class HostRuleError extends Error {
  override readonly name = 'HostRuleError';
}

const ENTRY = /^(?:(https?):\/\/)?(\*\.)?([a-z\d._-]+|\[[\da-f:.]+\])(?::(\d{1,5}))?(?:=(.+))?$/i;
const LOOPBACK = ['127.0.0.0/8', '::1'];

/**
 * Reads the list. `api.example.com` and `*.example.com` are https on port 443, `host:8443` on that port,
 * `http://host` without TLS. A name leads to the public internet, `name=10.0.0.0/8` to that range and nowhere else; an
 * address, and `localhost`, to itself.
 * @throws HostRuleError
 */
export function parseHostRules(entries: readonly string[]): HostRules {
  const rules = entries.map(parseEntry);
  const wrong = entries.filter((_, index) => rules[index] === undefined);
  if (wrong.length > 0) {
    throw new HostRuleError(
      wrong.map((entry) => `"${entry}" is not host, *.host, host:port, http://host or host=range`).join('; '),
    );
  }
  const good = rules.filter((rule) => rule !== undefined);
  return {
    size: good.length,
    find: (url) => {
      const fitting = good.filter((rule) => isFor(rule, url));
      return fitting.length === 0 ? undefined : (address) => fitting.some((rule) => mayLeadTo(rule, address));
    },
  };
}

function parseEntry(entry: string): HostRule | undefined {
  const [, scheme = 'https', star, written = '', digits, range] = ENTRY.exec(entry) ?? [];
  const host = toHost(written);
  const isSecure = scheme.toLowerCase() === 'https';
  const port = digits === undefined ? (isSecure ? 443 : 80) : Number(digits);
  if (written === '' || host === undefined || port < 1 || port > 65_535) return undefined;
  const isAddress = isIP(host) !== 0;
  if (isAddress && (star !== undefined || range !== undefined)) return undefined;
  const named = range === undefined ? toOwnRanges(host, isAddress) : [range];
  const ranges = named?.map(parseRange);
  if (ranges?.includes(undefined)) return undefined;
  return {
    isSecure,
    host: star === undefined ? host : `.${host}`,
    isWildcard: star !== undefined,
    port,
    ranges: ranges?.filter((one) => one !== undefined),
  };
}

function toOwnRanges(host: string, isAddress: boolean): readonly string[] | undefined {
  if (isAddress) return [host];
  return host === 'localhost' ? LOOPBACK : undefined;
}

function isFor(rule: HostRule, { isSecure, host, port }: ServiceUrl): boolean {
  const isHost = rule.isWildcard ? isIP(host) === 0 && host.endsWith(rule.host) : host === rule.host;
  return isHost && isSecure === rule.isSecure && port === rule.port;
}

function mayLeadTo({ ranges }: HostRule, address: PlainAddress): boolean {
  if (ranges === undefined) return isPublicAddress(address);
  // SECURITY: a range that happens to hold it does not open what hands out the machine's credentials.
  return ranges.some((range) => range.has(address) && (range.isSingle || !isMetadataAddress(address)));
}
