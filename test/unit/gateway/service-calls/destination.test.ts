import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { AppError } from '../../../../src/core/errors.ts';
import { findAddresses } from '../../../../src/gateway/service-calls/destination.ts';
import { HostRuleError, parseHostRules } from '../../../../src/gateway/service-calls/host-rules.ts';
import { parseServiceUrl } from '../../../../src/gateway/service-calls/service-url.ts';
import type { FoundAddress } from '../../../../src/http/outbound/destination.ts';

/** The code of the failure, or the addresses. */
async function ask(url: string, entries: readonly string[], found: readonly string[]): Promise<string> {
  const lookup = (): Promise<readonly FoundAddress[]> =>
    Promise.resolve(found.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })));
  try {
    const addresses = await findAddresses(parseServiceUrl(url), parseHostRules(entries), lookup);
    return addresses.map(({ address }) => address).join(' ');
  } catch (error) {
    assert.ok(error instanceof AppError, String(error));
    return error.code;
  }
}

const PUBLIC = '93.184.216.34';
const ANY = ['*.example.com'];

/** What is written as a URL, and what becomes of it where `*.example.com` is allowed and all names are at a public address. */
const URLS: Readonly<Record<string, readonly [string, string]>> = {
  'a name below the wildcard': ['https://api.example.com/a?b=c', PUBLIC],
  'several labels below the wildcard': ['https://a.b.example.com', PUBLIC],
  'capital letters': ['HTTPS://API.EXAMPLE.COM/', PUBLIC],
  'its own port, written': ['https://api.example.com:443/', PUBLIC],
  'the name of the wildcard itself': ['https://example.com/', 'service_url_forbidden'],
  'a name that only ends like it': ['https://evilexample.com/', 'service_url_forbidden'],
  'the name inside another one': ['https://api.example.com.evil.test/', 'service_url_forbidden'],
  'another port': ['https://api.example.com:8443/', 'service_url_forbidden'],
  'no TLS': ['http://api.example.com/', 'service_url_forbidden'],
  'no TLS on the port of TLS': ['http://api.example.com:443/', 'service_url_forbidden'],
  'a user': ['https://user@api.example.com/', 'invalid_request'],
  'user and password': ['https://user:secret@api.example.com/', 'invalid_request'],
  'a user that looks like the host': ['https://api.example.com@evil.test/', 'invalid_request'],
  'a backslash before an at': ['https://evil.test\\@api.example.com/', 'invalid_request'],
  'a backslash in the path': ['https://api.example.com/a\\b', 'invalid_request'],
  'a fragment that hides a host': ['https://evil.test#@api.example.com/', 'invalid_request'],
  'a fragment': ['https://api.example.com/#a', 'invalid_request'],
  'a question mark that hides a host': ['https://evil.test?@api.example.com', 'service_url_forbidden'],
  'a percent-encoded host': ['https://api%2eexample.com/', 'invalid_request'],
  'a percent-encoded slash in the host': ['https://evil.test%2f.example.com/', 'invalid_request'],
  'a dot at the end': ['https://api.example.com./', 'invalid_request'],
  'two dots': ['https://api..example.com/', 'invalid_request'],
  'full-width letters': ['https://ａpi.example.com/', 'invalid_request'],
  'an ideographic full stop': ['https://api。example。com/', 'invalid_request'],
  'a soft hyphen': ['https://api\u00ad.example.com/', 'invalid_request'],
  punycode: ['https://xn--bcher-kva.example.com/', PUBLIC],
  'a line break': ['https://api.example.com/\r\nHost: evil.test', 'invalid_request'],
  'a tab in the scheme': ['ht\ttps://api.example.com/', 'invalid_request'],
  'a space before it': [' https://api.example.com/', 'invalid_request'],
  'one slash': ['https:/api.example.com/', 'invalid_request'],
  'no scheme': ['//api.example.com/', 'invalid_request'],
  'another scheme': ['file:///etc/passwd', 'invalid_request'],
  gopher: ['gopher://api.example.com:443/', 'invalid_request'],
  'no host': ['https:///a', 'invalid_request'],
  'port 0': ['https://api.example.com:0/', 'invalid_request'],
  'port 65536': ['https://api.example.com:65536/', 'invalid_request'],
  'an empty port': ['https://api.example.com:/', 'invalid_request'],
  'a port in letters': ['https://api.example.com:https/', 'invalid_request'],
  loopback: ['https://127.0.0.1/', 'service_url_forbidden'],
  localhost: ['https://localhost/', 'service_url_forbidden'],
  metadata: ['https://169.254.169.254/latest/meta-data/', 'service_url_forbidden'],
  'an address in decimal': ['https://2130706433/', 'invalid_request'],
  'an address in octal': ['https://0177.0.0.1/', 'invalid_request'],
  'an address in hexadecimal': ['https://0x7f.0.0.1/', 'invalid_request'],
  'an address in hexadecimal, at once': ['https://0x7f000001/', 'invalid_request'],
  'an address of two parts': ['https://127.1/', 'invalid_request'],
  'an address with a leading zero': ['https://127.0.0.01/', 'invalid_request'],
  'an address that is too large': ['https://999.1.1.1/', 'invalid_request'],
  'loopback in IPv6': ['https://[::1]/', 'service_url_forbidden'],
  'loopback in IPv6, at length': ['https://[0:0:0:0:0:0:0:1]/', 'service_url_forbidden'],
  'mapped loopback': ['https://[::ffff:127.0.0.1]/', 'service_url_forbidden'],
  'a zone': ['https://[fe80::1%25eth0]/', 'invalid_request'],
  'a bracket that stays open': ['https://[::1/', 'invalid_request'],
  'a URL that is too long': [`https://api.example.com/${'a'.repeat(4_096)}`, 'invalid_request'],
};

/** Where a name that is allowed leads, and what becomes of the call. */
const ANSWERS: Readonly<Record<string, readonly [readonly string[], string]>> = {
  'a public address': [[PUBLIC], PUBLIC],
  'a public address of IPv6': [['2606:2800:220:1::1'], '2606:2800:220:1::1'],
  'two public ones': [[PUBLIC, '1.1.1.1'], `${PUBLIC} 1.1.1.1`],
  'no address': [[], 'service_unreachable'],
  'a public and a private one': [[PUBLIC, '10.0.0.1'], 'service_url_forbidden'],
  'a mapped public one': [[`::ffff:${PUBLIC}`], `::ffff:${PUBLIC}`],
  ...Object.fromEntries(
    [
      '0.0.0.0', '0.1.2.3', '10.0.0.1', '10.255.255.255', '100.64.0.1', '100.127.255.255', '127.0.0.1', '127.255.0.1',
      '169.254.1.1', '169.254.169.254', '169.254.170.2', '100.100.100.200', '168.63.129.16', '172.16.0.1',
      '172.31.255.255', '192.0.0.8', '192.0.2.1', '192.88.99.1', '192.168.1.1', '198.18.0.1', '198.51.100.7',
      '203.0.113.9', '224.0.0.1', '239.255.255.250', '240.0.0.1', '255.255.255.255',
      '::', '::1', '::ffff:127.0.0.1', '::ffff:a9fe:a9fe', '::ffff:10.0.0.1', '::127.0.0.1', '64:ff9b::7f00:1',
      '64:ff9b:1::a00:1', '100::1', '2001::1', '2001:db8::1', '2002:7f00:1::1', '2002:a00:1::', '3fff::1', 'fc00::1',
      'fd00:ec2::254', 'fd12:3456::1', 'fe80::1', 'fe80::1%eth0', 'fec0::1', 'ff02::1', '5f00::1', '4000::1',
    ].map((address) => [address, [[address], 'service_url_forbidden']] as const),
  ),
}; // prettier-ignore

/** Entries of the list, what is asked for, where it leads. */
const ENTRIES: Readonly<Record<string, readonly [string, string, string, string]>> = {
  'a name with a port': ['api.example.com:8443', 'https://api.example.com:8443/', PUBLIC, PUBLIC],
  'a name without TLS': ['http://api.example.com', 'http://api.example.com/', PUBLIC, PUBLIC],
  'a name without TLS, asked with TLS': ['http://api.example.com', 'https://api.example.com/', PUBLIC, 'service_url_forbidden'],
  'a name with its range': ['crm.corp.test=10.0.0.0/8', 'https://crm.corp.test/', '10.1.2.3', '10.1.2.3'],
  'a name outside its range': ['crm.corp.test=10.0.0.0/8', 'https://crm.corp.test/', '192.168.0.1', 'service_url_forbidden'],
  'a name with a range, at a public address': ['crm.corp.test=10.0.0.0/8', 'https://crm.corp.test/', PUBLIC, 'service_url_forbidden'],
  'another name in the range': ['crm.corp.test=10.0.0.0/8', 'https://10.1.2.3/', '10.1.2.3', 'service_url_forbidden'],
  'a wildcard with a range': ['*.corp.test=fd00::/8', 'https://crm.corp.test/', 'fd00::7', 'fd00::7'],
  'a range that holds metadata': ['crm.corp.test=0.0.0.0/0', 'https://crm.corp.test/', '169.254.169.254', 'service_url_forbidden'],
  'a range of IPv6 that holds metadata': ['crm.corp.test=fd00::/8', 'https://crm.corp.test/', 'fd00:ec2::254', 'service_url_forbidden'],
  'metadata that is named': ['meta.test=169.254.169.254', 'https://meta.test/', '169.254.169.254', '169.254.169.254'],
  'an address that is named': ['http://127.0.0.1:8080', 'http://127.0.0.1:8080/', '-', '127.0.0.1'],
  'the same address, another port': ['http://127.0.0.1:8080', 'http://127.0.0.1:8081/', '-', 'service_url_forbidden'],
  'an address of IPv6 that is named': ['[fd00::1]:8443', 'https://[fd00:0::1]:8443/', '-', 'fd00::1'],
  'a private address under another name': ['api.example.com', 'https://api.example.com/', '127.0.0.1', 'service_url_forbidden'],
  localhost: ['localhost:8443', 'https://localhost:8443/', '127.0.0.1', '127.0.0.1'],
  'localhost that leads elsewhere': ['localhost:8443', 'https://localhost:8443/', '10.0.0.1', 'service_url_forbidden'],
  'a wildcard and an address that ends like it': ['*.0.0.1', 'https://127.0.0.1/', '-', 'list'],
}; // prettier-ignore

const BAD_ENTRIES = {
  'a star': '*',
  'a star inside': 'api.*.com',
  'a path': 'https://api.example.com/a',
  'another scheme': 'ftp://api.example.com',
  'a user': 'user@api.example.com',
  'port 0': 'api.example.com:0',
  'port 70000': 'api.example.com:70000',
  'a dot at its end': 'api.example.com.',
  'an address in decimal': '2130706433',
  'a range alone': '10.0.0.0/8',
  'a range that is none': 'a.test=10.0.0.0/33',
  'a range in words': 'a.test=private',
  'a range of an address': '10.0.0.1=10.0.0.0/8',
  'a mapped range': 'a.test=::ffff:10.0.0.0/104',
  'a space': 'a b',
} as const;

describe('where a service call may go', () => {
  for (const [name, [url, expected]] of Object.entries(URLS)) {
    it(`is seen from its URL: ${name}`, async () => assert.equal(await ask(url, ANY, [PUBLIC]), expected));
  }

  for (const [name, [found, expected]] of Object.entries(ANSWERS)) {
    it(`is seen from where its name leads: ${name}`, async () =>
      assert.equal(await ask('https://api.example.com/', ANY, found), expected));
  }

  for (const [name, [entry, url, found, expected]] of Object.entries(ENTRIES)) {
    it(`is what the list says: ${name}`, async () => {
      if (expected === 'list') assert.throws(() => parseHostRules([entry]), HostRuleError);
      else assert.equal(await ask(url, [entry], [found]), expected);
    });
  }

  it('is nowhere with an empty list', async () =>
    assert.equal(await ask('https://api.example.com/', [], [PUBLIC]), 'service_url_forbidden'));

  for (const [name, entry] of Object.entries(BAD_ENTRIES)) {
    it(`is no list with ${name}, and the message names the entry`, () => {
      assert.throws(
        () => parseHostRules(['good.test', entry]),
        (error) =>
          error instanceof HostRuleError && error.message.includes(`"${entry}"`) && !error.message.includes('good'),
      );
    });
  }

  it('is not looked up when the list does not name it', async () => {
    const lookup = () => Promise.reject(new Error('looked up'));
    const asked = findAddresses(parseServiceUrl('https://evil.test/'), parseHostRules(ANY), lookup);
    await assert.rejects(asked, (error) => error instanceof AppError && error.code === 'service_url_forbidden');
  });

  it('is told without the address it led to', async () => {
    const lookup = () => Promise.resolve([{ address: '10.9.8.7', family: 4 }]);
    const asked = findAddresses(parseServiceUrl('https://api.example.com/'), parseHostRules(ANY), lookup);
    await assert.rejects(asked, (error) => error instanceof AppError && !JSON.stringify(error.values).includes('10.9'));
  });
});

describe('the parts of a URL', () => {
  const PARTS = {
    'path and query stay as they are': ['https://a.test/x/../%2e/y?q=%20&&', '/x/../%2e/y?q=%20&&', 'a.test'],
    'no path': ['https://a.test', '/', 'a.test'],
    'a query without a path': ['https://a.test?q', '/?q', 'a.test'],
    'a port of its own': ['https://A.test:8443/', '/', 'a.test:8443'],
    'the port of the scheme': ['http://a.test:80/', '/', 'a.test'],
    IPv6: ['https://[2001:DB8:0::1]:444/', '/', '[2001:db8::1]:444'],
  } as const;
  for (const [name, [url, target, authority]] of Object.entries(PARTS)) {
    it(name, () => {
      const parts = parseServiceUrl(url);
      assert.deepEqual([parts.target, parts.authority], [target, authority]);
    });
  }
});
