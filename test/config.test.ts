import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { egressRules, environmentName, flagName, readConfig, SETTINGS, splitListen } from '../src/config.ts';
import { describeRules } from '../src/transfer/egress-rules.ts';
import { temporaryDirectory } from './support/temp-directory.ts';

function refuses(run: () => unknown, sentence: RegExp): void {
  assert.throws(run, { code: 'SYS.1007', message: sentence });
}

describe('a setting', () => {
  it('comes from the flag, else the environment, else the file, else its default', () => {
    const data = temporaryDirectory();
    const read = (flags: string[], environment: NodeJS.ProcessEnv) =>
      readConfig(['--data', data, ...flags], environment).parallelJobs;
    assert.equal(read([], {}), 32);
    writeFileSync(join(data, 'config.json'), '{"parallelJobs": 3, "listen": "127.0.0.1:9"}');
    assert.equal(read([], {}), 3);
    assert.equal(read([], { INGOT_PARALLEL_JOBS: '4' }), 4);
    assert.equal(read(['--parallel-jobs', '5'], { INGOT_PARALLEL_JOBS: '4' }), 5);
    assert.equal(read([], { INGOT_PARALLEL_JOBS: '' }), 3);
    assert.equal(readConfig(['--data', data], {}).listen, '127.0.0.1:9');
  });

  it('is named alike everywhere', () => {
    assert.equal(environmentName('databaseUrl'), 'INGOT_DATABASE_URL');
    assert.equal(flagName('databaseUrl'), '--database-url');
    for (const [name, setting] of Object.entries(SETTINGS)) {
      assert.ok(setting.doc && setting.form, name);
      const standard = String(setting.default);
      assert.equal(standard === '' ? '' : setting.read(standard), setting.default, name);
    }
  });

  it('that is wrong is refused, with where it stands', () => {
    const data = temporaryDirectory();
    const read =
      (flags: string[], environment: NodeJS.ProcessEnv = {}) =>
      () =>
        readConfig(['--data', data, ...flags], environment);
    refuses(
      read(['--parallel-jobs', '0']),
      /^--parallel-jobs is '0', but a whole number from 1 to 1000 is expected$/,
    );
    refuses(read([], { INGOT_STALL_TIMEOUT: 'soon' }), /^INGOT_STALL_TIMEOUT is 'soon', but a whole number/);
    refuses(read(['--listen', 'nowhere']), /^--listen is 'nowhere', but host:port is expected/);
    refuses(read(['--log-level', 'loud']), /^--log-level is 'loud', but trace, debug/);
    refuses(read(['--lisen', 'x']), /'--lisen'.*; did you mean '--listen'\?$/);
    refuses(read(['surplus']), /surplus/);
    refuses(read(['--listen']), /--listen/);
    const file = join(data, 'config.json');
    writeFileSync(file, '{"parallelJobs": "many"}');
    refuses(read([]), /^"parallelJobs" in .*config\.json is 'many', but a whole number/);
    writeFileSync(file, '{"paralelJobs": 3}');
    refuses(read([]), /'paralelJobs', which does not exist; did you mean 'parallelJobs'/);
    writeFileSync(file, '{"parallelJobs": ');
    refuses(read([]), /config\.json is not JSON/);
    for (const other of ['null', '5', '[]', '"text"']) {
      writeFileSync(file, other);
      refuses(read([]), /config\.json must hold a JSON object$/);
    }
  });
});

describe('the data directory', () => {
  it("is named by flag or environment, or lies in the user's data home", () => {
    const path = (flags: string[], environment: NodeJS.ProcessEnv) =>
      readConfig(flags, environment).data.path;
    assert.equal(path(['--data', '/a'], { INGOT_DATA: '/b', XDG_DATA_HOME: '/c' }), '/a');
    assert.equal(path([], { INGOT_DATA: '/b', XDG_DATA_HOME: '/c' }), '/b');
    assert.equal(path([], { XDG_DATA_HOME: '/c' }), '/c/ingot');
    assert.match(path([], {}), /\/\.local\/share\/ingot$/);
  });
});

describe('what may be connected to', () => {
  it('is written in the file as one likes, and is by default as wide as the circle of callers', () => {
    const data = temporaryDirectory();
    const read = (...flags: string[]) => readConfig(['--data', data, ...flags], {});
    const rules = (...flags: string[]) => describeRules(egressRules(read(...flags)));
    assert.equal(rules(), 'public, private, loopback');
    assert.equal(rules('--listen', '[::1]:80'), 'public, private, loopback');
    for (const flags of [
      ['--listen', '0.0.0.0:80'],
      ['--listen', '10.0.0.1:80'],
      ['--trusted-proxies', '127.0.0.1'],
    ])
      assert.equal(rules(...flags), 'public, private', flags.join(' '));
    for (const file of [
      '{"egress": {"allow": ["public:443", "10.0.0.0/8"]}}',
      '{"egress.allow": "public:443,10.0.0.0/8"}',
      '{"egressAllow": "public:443,10.0.0.0/8"}',
    ]) {
      writeFileSync(join(data, 'config.json'), file);
      assert.equal(rules(), 'public:443, 10.0.0.0/8', file);
    }
    refuses(
      () => read('--egress-allow', 'everything goes'),
      /^--egress-allow is 'everything goes', but 'everything goes' is none of/,
    );
    writeFileSync(join(data, 'config.json'), '{"egress": {"schemes": ["https", "sftp"]}}');
    assert.equal(read().egressSchemes, 'https,sftp');
    assert.equal(read('--egress-schemes', 'http').egressSchemes, 'http');
    refuses(
      () => read('--egress-schemes', 'https,gopher'),
      /^--egress-schemes is 'https,gopher', but 'gopher' is none of http, https, ftp, sftp$/,
    );
    refuses(
      () => read('--egress-schemes', ''),
      /^--egress-schemes is '', but one or more of http, https, ftp, sftp are expected$/,
    );
    refuses(
      () => readConfig(['--data', data], { INGOT_EGRESS_SCHEMES: 'file' }),
      /^INGOT_EGRESS_SCHEMES is 'file', but 'file' is none of/,
    );
    refuses(
      () => read('--trusted-proxies', 'proxy'),
      /^--trusted-proxies is 'proxy', but 'proxy' is no address/,
    );
  });
});

describe('an address to listen on', () => {
  it('is host and port, with IPv6 in brackets', () => {
    assert.deepEqual(splitListen('127.0.0.1:8080'), { host: '127.0.0.1', port: 8080 });
    assert.deepEqual(splitListen('[::1]:80'), { host: '::1', port: 80 });
    assert.deepEqual(splitListen('images.example:0'), { host: 'images.example', port: 0 });
    assert.deepEqual(splitListen(':8080'), { host: '0.0.0.0', port: 8080 });
    for (const bad of ['', '8080', 'host', 'host:', 'host:70000', '::1:80', 'host:80a', 'http://host:80']) {
      assert.throws(() => splitListen(bad), /host:port is expected/, bad);
    }
  });
});
