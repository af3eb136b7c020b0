import { BlockList, isIP } from 'node:net';

/** Addresses from the first to the last with one prefix in common; a single one where the prefix is whole. */
export interface AddressRange {
  readonly isSingle: boolean;
  has(address: PlainAddress): boolean;
}

/** An address in its one form. */
export interface PlainAddress {
  readonly address: string;
  readonly family: 'ipv4' | 'ipv6';
}

const BITS = { ipv4: 32, ipv6: 128 } as const;

/** Not of the public internet (RFC 6890 and the IANA registries of special-purpose addresses). */
const SPECIAL_IPV4 = [
  '0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12', '192.0.0.0/24',
  '192.0.2.0/24', '192.88.99.0/24', '192.168.0.0/16', '198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24',
  '224.0.0.0/4', '240.0.0.0/4',
]; // prettier-ignore
/** What is given out of IPv6; all else is loopback, private, link-local, multicast, or holds an IPv4 address (NAT64, mapped). */
const GLOBAL_IPV6 = ['2000::/3'];
/** Inside it: Teredo and its neighbours, documentation, and 6to4, which holds an IPv4 address. */
const SPECIAL_IPV6 = ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20'];
/** Where clouds hand out credentials of the machine to whoever asks. One is of the public internet. */
const METADATA = ['169.254.169.254', '169.254.170.2', '169.254.170.23', '100.100.100.200', '168.63.129.16', '192.0.0.192', 'fd00:ec2::254', 'fd00:ec2::23', 'fd20:ce::254']; // prettier-ignore

const MAPPED = /^::ffff:([\da-f]{1,4}):([\da-f]{1,4})$/;

/**
 * An address in its one form; an IPv4 address that is mapped into IPv6 is the IPv4 address, which is where it leads.
 * @returns undefined for what is no address, or has a zone
 */
export function toPlainAddress(text: string): PlainAddress | undefined {
  if (isIP(text) === 4) return { address: text, family: 'ipv4' };
  const url = `http://[${text}]`;
  if (isIP(text) !== 6 || !URL.canParse(url)) return undefined;
  const address = new URL(url).hostname.slice(1, -1);
  const [, high, low] = MAPPED.exec(address) ?? [];
  if (high === undefined || low === undefined) return { address, family: 'ipv6' };
  const [a, b] = [Number.parseInt(high, 16), Number.parseInt(low, 16)];
  return { address: [a >> 8, a & 255, b >> 8, b & 255].join('.'), family: 'ipv4' };
}

/** A range from `10.0.0.0/8`, `fd00::/8` or a single address. @returns undefined for anything else */
export function parseRange(text: string): AddressRange | undefined {
  const [, first = '', bits] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const plain = toPlainAddress(first);
  if (plain === undefined) return undefined;
  const all = BITS[plain.family];
  const prefix = bits === undefined ? all : Number(bits);
  // A mapped address has the prefix of neither family.
  if (prefix > all || (bits !== undefined && (first.includes(':') ? 'ipv6' : 'ipv4') !== plain.family))
    return undefined;
  const list = new BlockList();
  list.addSubnet(plain.address, prefix, plain.family);
  return {
    isSingle: prefix === all,
    has: ({ address, family }) => family === plain.family && list.check(address, family),
  };
}

const toRanges = (texts: readonly string[]): readonly AddressRange[] =>
  texts.map((text) => {
    const range = parseRange(text);
    if (range === undefined) throw new TypeError(`${text} is no range`);
    return range;
  });

const RANGES = {
  ipv4: { given: toRanges(['0.0.0.0/0']), special: toRanges(SPECIAL_IPV4) },
  ipv6: { given: toRanges(GLOBAL_IPV6), special: toRanges(SPECIAL_IPV6) },
} as const;
const METADATA_RANGES = toRanges(METADATA);

const isIn = (ranges: readonly AddressRange[], address: PlainAddress): boolean =>
  ranges.some((range) => range.has(address));

/** Whether an address hands out credentials of the machine. No range lets it be reached, only its own name. */
export function isMetadataAddress(address: PlainAddress): boolean {
  return isIn(METADATA_RANGES, address);
}

/** Whether an address is of the public internet and of nothing else. */
export function isPublicAddress(address: PlainAddress): boolean {
  const { given, special } = RANGES[address.family];
  return isIn(given, address) && !isIn(special, address) && !isMetadataAddress(address);
}
