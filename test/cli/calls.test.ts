import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { startTestService, type TestService } from '../support/service.ts';
import { Ingot } from './ingot.ts';

describe('calls to a service that runs', () => {
  let service: TestService;
  let ingot: Ingot;
  before(async () => {
    service = await startTestService();
    ingot = new Ingot({ data: service.data });
  });
  after(() => service.stop());

  it('log in by themselves and keep the session', async () => {
    const first = await ingot.run(['QueryZone']);
    assert.deepEqual([first.code, first.stderr], [0, '']);
    assert.match(first.stdout, /^uuid +name +state .*\n[0-9a-f]{32} +default +Enabled/);
    const directory = join(ingot.state, 'ingot', 'sessions');
    const [file = ''] = readdirSync(directory);
    assert.equal(statSync(join(directory, file)).mode & 0o777, 0o600);
    const before = readFileSync(join(directory, file), 'utf8');
    await ingot.run(['QueryZone']);
    assert.equal(readFileSync(join(directory, file), 'utf8'), before);
  });

  it('renew a session that is over', async () => {
    await ingot.run(['QueryZone']);
    const directory = join(ingot.state, 'ingot', 'sessions');
    const [file = ''] = readdirSync(directory);
    const path = join(directory, file);
    const kept = readFileSync(path, 'utf8');
    writeFileSync(path, kept.replace(/("session": ")[0-9a-f]+/, '$10123456789abcdef0123456789abcdef'));
    assert.equal((await ingot.run(['QueryZone'])).code, 0);
    // An asynchronous call says so only when it is asked for its end.
    writeFileSync(path, kept.replace(/("session": ")[0-9a-f]+/, '$10123456789abcdef0123456789abcdef'));
    const late = await ingot.run(['DeleteImage', 'uuid=8b99641a4d644820932e0ec5ada78eed']);
    assert.equal(late.code, 0, late.stderr);
    // Somebody else's session is not replaced by the administrator's.
    writeFileSync(
      path,
      kept
        .replace(/("session": ")[0-9a-f]+/, '$10123456789abcdef0123456789abcdef')
        .replace('"admin"', '"bob"'),
    );
    const { code, stderr } = await ingot.run(['QueryZone']);
    assert.equal(code, 3);
    assert.match(stderr, /session of bob is over\nLog in again: ingot login bob/);
  });

  it('print the answer as sorted JSON and nothing else', async () => {
    const { code, stdout, stderr } = await ingot.run([
      '--json',
      'QueryBackupStorage',
      'name=local',
      'fields=name,state',
    ]);
    assert.deepEqual([code, stderr], [0, '']);
    const answer = JSON.parse(stdout);
    assert.deepEqual(answer.inventories, [{ name: 'local', state: 'Enabled' }]);
    assert.equal(stdout, `${JSON.stringify({ inventories: answer.inventories }, null, 4)}\n`);
  });

  it('count, and say when nothing matches', async () => {
    assert.equal((await ingot.run(['QueryZone', 'count=true'])).stdout, '1\n');
    const none = await ingot.run(['QueryZone', 'name=nowhere']);
    assert.deepEqual([none.code, none.stdout, none.stderr], [0, '', 'no Zone matches\n']);
    assert.match((await ingot.run(['QueryZone', 'replyWithCount=true'])).stderr, /1 of 1/);
  });

  it('show the error of the service with code, sentence and what to do', async () => {
    const { code, stdout, stderr } = await ingot.run(['QueryImage', 'nme=x']);
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, /^SYS\.1007: Image has no field 'nme'; did you mean 'name'\?\n {2}Fields: uuid,/);
  });

  it('end with 2 for words that can not be right', async () => {
    for (const [words, pattern] of [
      [['QueryImag'], /did you mean 'QueryImage'/],
      [['AddImage', 'centos'], /'centos' has no '='/],
      [['AddImage', 'name=x'], /'url' is required/],
      [['--jsn', 'QueryZone'], /did you mean '--json'/],
      [['QueryZone', 'serve', '--data'], /--data needs a value/],
      [['--json', 'serve'], /'serve' has to be the first word/],
    ] as const) {
      const { code, stdout, stderr } = await ingot.run(words);
      assert.deepEqual([code, stdout], [2, ''], words.join(' '));
      assert.match(stderr, pattern);
    }
  });

  it('log in and out with a password', async () => {
    const other = new Ingot({ server: service.address });
    const refused = await other.run(['QueryZone']);
    assert.equal(refused.code, 3);
    assert.match(refused.stderr, /not logged in at .*\nLog in first: ingot login\n/);
    const wrong = await other.run(['login', '--password-stdin'], 'wrong\n');
    assert.equal(wrong.code, 1);
    assert.match(wrong.stderr, /^ID\.1000: the account name or the password is wrong/);
    const password = readFileSync(join(service.data, 'admin-password'), 'utf8');
    assert.equal((await other.run(['login', 'admin', '--password-stdin'], password)).code, 0);
    assert.equal((await other.run(['QueryZone'])).code, 0);
    assert.equal((await other.run(['logout'])).code, 0);
    assert.equal((await other.run(['QueryZone'])).code, 3);
  });

  it('ask for the password without showing it', async () => {
    const other = new Ingot({ server: service.address });
    const running = other.atTerminal(['login']);
    await running.says(/Password of admin at .*: /);
    const password = readFileSync(join(service.data, 'admin-password'), 'utf8').trim();
    running.child.stdin?.write(`x\u007f${password}\r`);
    const { code, stdout } = await running.ended;
    assert.equal(code, 0, stdout);
    assert.match(stdout, /Logged in as admin/);
    assert.ok(!stdout.includes(password));
  });

  it('are read line by line from stdin, up to the first that fails', async () => {
    const { code, stdout, stderr } = await ingot.run(
      ['--json'],
      '# zones\nQueryZone "name=default"\n\nQueryZone nme=x\nQueryZone count=true\n',
    );
    assert.equal(code, 1);
    assert.equal(JSON.parse(stdout).inventories[0].name, 'default');
    assert.match(stderr, /^line 4:\nSYS\.1007/);
    assert.equal((await ingot.run(['shell'], 'exit\nnonsense\n')).code, 0);
  });

  it('are read from a terminal, with Tab, history and Ctrl-C', async () => {
    const running = ingot.atTerminal([]);
    await running.says(/admin >>> /);
    running.child.stdin?.write('QueryZ');
    running.child.stdin?.write('\t');
    await running.says(/QueryZone/);
    running.child.stdin?.write('name~=defa\r');
    await running.says(/ default [\s\S]*admin >>> /);
    running.child.stdin?.write('nonsense\u0003');
    await running.says(/nonsense\^C/);
    running.child.stdin?.write('LogInByAccount accountName=admin password=topsecret\r');
    await running.says(/ID\.1000/);
    running.child.stdin?.write('exit\r');
    assert.equal((await running.ended).code, 0);
    const file = join(ingot.state, 'ingot', 'history');
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const history = readFileSync(file, 'utf8');
    assert.match(history, /^QueryZone name~=defa$/m);
    assert.match(history, /^LogInByAccount accountName=admin password=$/m);
  });
});

describe('without a service', () => {
  it('one that was named is said to be away', async () => {
    const { code, stderr } = await new Ingot().run(['--server', 'http://127.0.0.1:9', 'QueryZone']);
    assert.equal(code, 3);
    assert.match(stderr, /http:\/\/127\.0\.0\.1:9 can't be reached: .*refused.*\nStart one with 'npm start'/);
  });

  it('one is started for the call and gone with it', async () => {
    const ingot = new Ingot();
    const first = await ingot.run(['QueryZone', 'count=true']);
    assert.deepEqual([first.code, first.stdout], [0, '1\n']);
    assert.match(first.stderr, /No service runs on .*; one was started/);
    assert.ok(!readdirSync(ingot.data).includes('address'));
    // The session of the first start is good for the next.
    const second = await ingot.run(['--json', 'QueryZone', 'count=true']);
    assert.deepEqual([second.code, second.stderr], [0, '']);
    assert.equal(readdirSync(join(ingot.state, 'ingot', 'sessions')).length, 1);
  });

  it('help and version need none', async () => {
    const ingot = new Ingot();
    for (const words of [
      ['--help'],
      ['-h'],
      ['help', 'AddImage'],
      ['AddImage', '--help'],
      ['serve', '--help'],
      ['--version'],
    ]) {
      const { code, stdout, stderr } = await ingot.run(words);
      assert.deepEqual([code, stderr], [0, ''], words.join(' '));
      assert.notEqual(stdout, '');
    }
    assert.deepEqual(readdirSync(ingot.data), []);
  });
});
