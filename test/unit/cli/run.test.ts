import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { toBanner } from '../../../src/cli/banner.ts';
import { COMMANDS, runCommand, toCommandHelp, toHelp } from '../../../src/cli/run.ts';

async function run(args: readonly string[], env: Record<string, string> = {}) {
  const printed: string[] = [];
  const errors: string[] = [];
  const code = await runCommand({
    args,
    env,
    stop: AbortSignal.abort(),
    version: '1.2.3',
    print: (text) => printed.push(text),
    printError: (text) => errors.push(text),
  });
  return { code, printed, errors };
}

describe('a command', () => {
  it('is in the help with its summary', async () => {
    const help = await toHelp('1.2.3');
    assert.match(help, /^Countersign 1\.2\.3\n/);
    for (const [name, load] of Object.entries(COMMANDS)) {
      const { summary } = await load();
      assert.ok(help.includes(`countersign ${name}`) && help.includes(summary), name);
    }
  });

  it('prints results and errors apart', async () => {
    assert.deepEqual(await run(['version']), { code: 0, printed: ['1.2.3'], errors: [] });
    const refused = await run(['apps']);
    assert.deepEqual([refused.code, refused.printed], [2, []]);
    assert.match(refused.errors.join(), /^countersign apps: usage: countersign apps create/);
  });

  it('shows the help wherever it is asked for, and starts nothing', async () => {
    for (const args of [['--help'], ['-h'], ['help'], ['nothing', '--help']]) {
      assert.deepEqual(await run(args), { code: 0, printed: [await toHelp('1.2.3')], errors: [] }, args.join(' '));
    }
    for (const [name, load] of Object.entries(COMMANDS)) {
      const command = await load();
      const expected = { code: 0, printed: [toCommandHelp(name, command)], errors: [] };
      assert.deepEqual(await run([name, '--help']), expected, name);
      assert.deepEqual(await run([name, 'create', '-h']), expected, name);
    }
    assert.match((await run(['apps', '--help'])).printed.join(), /--enforce-jti true\|false\n/);
  });

  it('refuses words that a server does not take', async () => {
    for (const name of ['start', 'issuer', 'idproxy']) {
      for (const word of ['--prot', 'foo']) {
        const { code, errors } = await run([name, word]);
        assert.deepEqual([code, errors], [2, [`countersign ${name}: usage: countersign ${name}`]]);
      }
    }
  });

  it('names every wrong setting', async () => {
    const { code, errors } = await run(['start'], { COUNTERSIGN_ISSUER_PORT: 'x', COUNTERSIGN_NONE: 'y' });
    assert.equal(code, 2);
    assert.match(errors.join(), /COUNTERSIGN_ISSUER_PORT: [^]*COUNTERSIGN_NONE: /);
  });

  it('passes over what is not ours', async () => {
    const { code, printed } = await run(['api-keys', 'create', '--label', 'a'], {
      PATH: '/bin',
      COUNTERSIGNED: 'x',
      HOME: '',
    });
    assert.equal(code, 0);
    assert.match(printed.join(), /"key": "csk_/);
  });
});

describe('the banner', () => {
  const FACTS = {
    issuerUrl: 'http://127.0.0.1:1',
    idproxyUrl: 'http://127.0.0.1:2',
    storeDescription: 'embedded (…)',
    isOpen: true,
    adminToken: 'T0KEN',
  };

  it('introspects with the admin token where it was made', () => {
    const text = toBanner(FACTS);
    assert.match(text, /\/oauth\/introspect/);
    assert.match(text, /WARNING {2}the issuer is open/);
    // A credential in a process list would be anybody's: it goes through a pipe.
    assert.doesNotMatch(text, /curl[^|\n]*T0KEN/);
  });

  it('asks userinfo otherwise, and warns of nothing that is closed', () => {
    const text = toBanner({ ...FACTS, isOpen: false, adminToken: undefined });
    assert.doesNotMatch(text, /admin token|introspect|WARNING/);
    assert.match(text, /\/api\/1\.1\/userinfo/);
  });
});
