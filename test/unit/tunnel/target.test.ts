import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import { AppError } from '../../../src/core/errors.ts';
import { parseHost, parsePort } from '../../../src/tunnel/host.ts';
import { type AbsoluteTarget, parseAbsoluteTarget } from '../../../src/tunnel/target.ts';

const toTarget = (host: string, port: number, target: string): AbsoluteTarget => ({ host, port, target });

describe('parseAbsoluteTarget', () => {
  const TAKEN: Readonly<Record<string, readonly [string, AbsoluteTarget]>> = {
    'a host and a path': ['http://crm.virtual/api', toTarget('crm.virtual', 80, '/api')],
    'a port': ['http://crm.virtual:8080/api?x=1', toTarget('crm.virtual', 8080, '/api?x=1')],
    https: ['https://crm.virtual/', toTarget('crm.virtual', 443, '/')],
    'a web socket': ['ws://crm.virtual/live', toTarget('crm.virtual', 80, '/live')],
    'a web socket over TLS': ['wss://crm.virtual/live', toTarget('crm.virtual', 443, '/live')],
    'a scheme and a host in capitals': ['HTTP://CRM.Virtual/API', toTarget('crm.virtual', 80, '/API')],
    'no path': ['http://crm.virtual', toTarget('crm.virtual', 80, '/')],
    'no path before a query': ['http://crm.virtual?a=b/c', toTarget('crm.virtual', 80, '/?a=b/c')],
    'no path behind a port': ['http://crm.virtual:81', toTarget('crm.virtual', 81, '/')],
    'a path that URL would rewrite': ['http://h/a/../%7e/./b//c\\', toTarget('h', 80, '/a/../%7e/./b//c\\')],
    'an at sign in the path': ['http://h/@other/', toTarget('h', 80, '/@other/')],
    'a colon in the path': ['http://h/a:b', toTarget('h', 80, '/a:b')],
    'a complete name': ['http://crm.virtual./', toTarget('crm.virtual', 80, '/')],
    'an IPv4 address': ['http://10.0.0.1:8080/', toTarget('10.0.0.1', 8080, '/')],
    'an IPv6 address': ['http://[FD00::1]:8080/x', toTarget('fd00::1', 8080, '/x')],
    'an IPv6 address without a port': ['http://[::1]/x', toTarget('::1', 80, '/x')],
    'an underscore': ['http://my_app.virtual/', toTarget('my_app.virtual', 80, '/')],
  };
  for (const [name, [url, expected]] of Object.entries(TAKEN)) {
    it(`takes ${name}`, () => assert.deepEqual(parseAbsoluteTarget(url), expected));
  }

  const FORM = /is not http:/;
  const HOST = /host cannot be read/;
  const PORT = /port cannot be read/;
  const BYTES = /a space, a control character or one outside ASCII/;
  const REFUSED: Readonly<Record<string, readonly [string, RegExp]>> = {
    nothing: ['', FORM],
    'the origin form': ['/api', FORM],
    'the authority form': ['crm.virtual:80', FORM],
    'another scheme': ['ftp://host/', FORM],
    'a scheme without slashes': ['http:host/', FORM],
    'one slash': ['http:/host/', FORM],
    'backslashes for slashes': ['http:\\\\host\\', FORM],
    'no host': ['http:///path', HOST],
    'no host before a port': ['http://:80/path', HOST],
    'a user name': ['http://user@host/', /user name/],
    'a user name and a password': ['http://user:secret@host/', /user name/],
    'an empty user name': ['http://@host/', /user name/],
    'a fragment': ['http://host/#a', /fragment/],
    'a fragment without a path': ['http://host#@other/', /fragment/],
    'a fragment behind the query': ['http://host/?a#b', /fragment/],
    'a space': ['http://host/a b', BYTES],
    'a space before it': [' http://host/', BYTES],
    'a line end': ['http://host/\r\nX: y', BYTES],
    'a line end behind it': ['http://host/\n', BYTES],
    'a zero byte': ['http://ho\0st/', BYTES],
    'a host outside ASCII': ['http://b\xfccher.virtual/', BYTES],
    'an escape in the host': ['http://crm%2evirtual/', HOST],
    'an encoded slash in the host': ['http://host%2f.other/', HOST],
    'a backslash behind the host': ['http://host\\other/', HOST],
    'a backslash before an at sign': ['http://host\\@other/', /user name/],
    'a host that begins with a dot': ['http://.host/', HOST],
    'an empty label': ['http://a..b/', HOST],
    'a dot alone': ['http://./', HOST],
    'a host that begins with a hyphen': ['http://-host/', HOST],
    'two hosts': ['http://a,b/', HOST],
    'a host too long': [`http://${'a.'.repeat(127)}bc/`, HOST],
    'an empty port': ['http://host:/', PORT],
    'port zero': ['http://host:0/', PORT],
    'a port too high': ['http://host:65536/', PORT],
    'a port with a zero before it': ['http://host:080/', PORT],
    'a port with a sign': ['http://host:+80/', PORT],
    'a port that is no number': ['http://host:http/', PORT],
    'two ports': ['http://host:80:81/', PORT],
    'an IPv6 address without brackets': ['http://fd00::1/', PORT],
    'an IPv6 address with a zone': ['http://[fe80::1%25eth0]/', HOST],
    'an IPv6 address with a raw zone': ['http://[fe80::1%eth0]/', HOST],
    'a bracket that is not closed': ['http://[::1/', HOST],
    'brackets about a name': ['http://[host]/', HOST],
    'something behind the brackets': ['http://[::1]x/', HOST],
  };
  for (const [name, [url, message]] of Object.entries(REFUSED)) {
    it(`refuses ${name}`, () => {
      assert.throws(
        () => parseAbsoluteTarget(url),
        (error) => {
          assert.ok(error instanceof AppError && error.code === 'invalid_request');
          assert.match(error.values.detail ?? '', message);
          assert.ok(!JSON.stringify(error.values).includes('secret'));
          return true;
        },
      );
    });
  }

  it('goes to no other host, and to no other port, than the URL standard', () => {
    const part = fc.constantFrom('a', 'b.c', ':', '@', '/', '\\', '?', '#', '[::1]', '80', '.', '%2f', '%61', 'X', '0');
    let taken = 0;
    fc.assert(
      fc.property(
        fc.constantFrom('http://', 'https://', 'ws://'),
        fc.array(part, { maxLength: 8 }),
        (scheme, parts) => {
          const url = scheme + parts.join('');
          let mine: AbsoluteTarget;
          try {
            mine = parseAbsoluteTarget(url);
          } catch (error) {
            assert.ok(error instanceof AppError);
            return;
          }
          // The standard reads names that end in a number as addresses; here they are names, looked up and never resolved.
          if (!URL.canParse(url) || /(?:^|\.)(?:\d+|0x[\da-f]*)$/.test(mine.host)) return;
          taken++;
          const theirs = new URL(url);
          assert.equal(parseHost(theirs.hostname), mine.host);
          assert.equal(Number(theirs.port || (scheme === 'https://' ? 443 : 80)), mine.port);
          assert.ok(url.endsWith(mine.target) || url.endsWith(mine.target.slice(1)));
        },
      ),
      { numRuns: 5_000 },
    );
    assert.ok(taken > 300, `only ${taken} were taken`);
  });
});

describe('parsePort', () => {
  it('takes decimal digits alone', () => {
    assert.equal(parsePort('1'), 1);
    assert.equal(parsePort('65535'), 65_535);
    for (const text of ['', '0', '65536', '99999', '1e3', '0x50', ' 80', '80 ', '80\n', '-1', '８０']) {
      assert.equal(parsePort(text), undefined, text);
    }
  });
});
