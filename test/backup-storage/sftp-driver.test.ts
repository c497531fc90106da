/** What a server behind SSH can do to us, beyond what every driver's contract says. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import type { BackupStorageDriver } from '../../src/backup-storage/driver.ts';
import { type SftpStorageOptions, sftpBackupStorage } from '../../src/backup-storage/sftp/driver.ts';
import { IngotError } from '../../src/kernel/errors.ts';
import { newUuid } from '../../src/kernel/uuid.ts';
import { type CuttingProxy, startCuttingProxy } from '../support/cutting-proxy.ts';
import { runProgram } from '../support/program.ts';
import { NO_SMALL_FILE_SYSTEM, smallFileSystem } from '../support/small-file-system.ts';
import { canTakePasswords, type Sshd, startSshd } from '../support/sshd.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

const MIB = 2 ** 20;
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

describe('a directory behind SSH', () => {
  let sshd: Sshd;
  let proxy: CuttingProxy;
  const drivers: BackupStorageDriver[] = [];
  before(async () => {
    sshd = await startSshd({ keys: temporaryDirectory() });
    proxy = await startCuttingProxy(sshd.port);
  });
  after(async () => {
    await proxy.close();
    await sshd.stop();
  });
  afterEach(async () => {
    for (const driver of drivers.splice(0)) await driver.close();
  });

  function open(
    root: string,
    more: Partial<SftpStorageOptions> = {},
    server: object = {},
  ): BackupStorageDriver {
    const { host, username, privateKey } = sshd;
    const driver = sftpBackupStorage({
      uuid: newUuid(),
      root,
      server: { host, port: proxy.port, username, privateKey, ...server },
      ...more,
    });
    drivers.push(driver);
    return driver;
  }

  async function refuses(
    work: Promise<unknown>,
    code: string,
    says: RegExp,
    retryable: boolean,
  ): Promise<void> {
    await assert.rejects(work, (error) => {
      assert.ok(error instanceof IngotError, String(error));
      assert.match(error.details, says);
      assert.equal(error.code, code, error.details);
      assert.equal(error.retryable, retryable, error.details);
      return true;
    });
  }

  it('goes on with a write by itself when the connection is cut, again and again', async () => {
    const root = join(temporaryDirectory(), 'store');
    const driver = open(root);
    await driver.initialise();
    const content = randomBytes(24 * MIB + 12_345);
    const writer = await driver.create('cut');
    const writes: Promise<void>[] = [];
    let next = 4 * MIB + proxy.received();
    for (let at = 0; at < content.length; at += MIB) {
      writes.push(writer.write(content.subarray(at, at + MIB)));
      if (writes.length % 4 === 0) await writes[writes.length - 4];
      if (proxy.received() > next) {
        next = proxy.received() + 6 * MIB;
        proxy.cut();
      }
    }
    await Promise.all(writes);
    await writer.flush();
    proxy.cut();
    await writer.commit({ sha256: sha256(content) });
    assert.equal(sha256(readFileSync(join(root, 'cut'))), sha256(content));
    proxy.cut();
    await driver.ping();
  });

  for (const shell of [false, true]) {
    it(`notices bytes that are not what they were, ${shell ? 'reckoned there' : 'read back'}`, async () => {
      const server = await startSshd({ keys: temporaryDirectory(), shell });
      try {
        const root = join(temporaryDirectory(), "it's a store");
        const { port, privateKey } = server;
        const driver = open(root, {}, { port, privateKey });
        await driver.initialise();
        const content = randomBytes(2 * MIB);
        const writer = await driver.create('a/damaged');
        await writer.write(content);
        await writer.flush();
        const part = readFileSync(join(root, 'a', 'damaged.part'));
        writeFileSync(join(root, 'a', 'damaged.part'), part.fill(0, 1000, 1001).fill(7, 2000, 2010));
        await refuses(
          writer.commit({ sha256: sha256(content) }),
          'SYS.1016',
          /is damaged: its SHA-256 is/,
          true,
        );
        await writer.abort();
        assert.deepEqual(readdirSync(root), ['.ingot-backup-storage']);
        const again = await driver.create('a/sound');
        await again.write(content);
        await again.commit({ sha256: sha256(content) });
        assert.equal(await driver.size('a/sound'), content.length);
      } finally {
        await server.stop();
      }
    });
  }

  it('does not wait for ever for a server that accepts and says nothing', async () => {
    const silent: Socket[] = [];
    const server = createServer((socket) => void silent.push(socket.on('error', () => {})));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    try {
      const driver = open('/srv/x', { connectTimeout: 300 }, { port });
      await refuses(driver.ping(), 'BS.1005', /can't be connected/, true);
    } finally {
      for (const socket of silent) socket.destroy();
      server.close();
    }
  });

  it('does not wait for ever for a server that falls silent, and goes on over another connection', async () => {
    const root = join(temporaryDirectory(), 'store');
    const driver = open(root, { answerTimeout: 1000 });
    await driver.initialise();
    const content = randomBytes(4 * MIB);
    const writer = await driver.create('hung');
    await writer.write(content.subarray(0, MIB));
    proxy.hold(true);
    await writer.write(content.subarray(MIB));
    await driver.ping();
    await writer.commit({ sha256: sha256(content) });
    proxy.hold(false);
    assert.equal(sha256(readFileSync(join(root, 'hung'))), sha256(content));
  });

  it('is given up when it can not be reached again, and leaves nothing once it can', async () => {
    const dying = await startSshd({ keys: temporaryDirectory() });
    const { port, privateKey, keys } = dying;
    const root = join(temporaryDirectory(), 'store');
    const driver = open(root, {}, { port, privateKey });
    await driver.initialise();
    const writer = await driver.create('a/dropped');
    await writer.write(randomBytes(MIB));
    await dying.kill();
    await refuses(writer.write(randomBytes(MIB)), 'BS.1000', /could not be had again: .*ECONNREFUSED/, true);
    await assert.rejects(writer.abort(), IngotError);
    const again = await startSshd({ port, keys });
    await driver.remove('a/dropped');
    assert.deepEqual(readdirSync(root), ['.ingot-backup-storage']);
    await again.stop();
  });

  it('remembers the key of its server before it logs in, and takes no other', async () => {
    const seen: string[] = [];
    const root = join(temporaryDirectory(), 'store');
    const uuid = newUuid();
    const first = open(root, { uuid, learnHostKey: async (key) => void seen.push(key) });
    await first.initialise();
    const shown = await runProgram('ssh-keygen', ['-l', '-f', join(sshd.keys, 'host.pub')]);
    assert.deepEqual(seen, [`ssh-ed25519 ${shown.split(' ')[1]}`]);
    const hostKey = seen[0] ?? '';
    await open(root, { uuid }, { hostKey }).ping();
    const other = `ssh-ed25519 SHA256:${'A'.repeat(43)}`;
    await refuses(
      open(root, { uuid }, { hostKey: other }).ping(),
      'BS.1005',
      /is not the server it was: its host key was ssh-ed25519 SHA256:AAA.*, and now it shows ssh-ed25519 SHA256:/,
      false,
    );
    const rsa = `ssh-rsa SHA256:${'A'.repeat(43)}`;
    await refuses(
      open(root, { uuid }, { hostKey: rsa }).ping(),
      'BS.1005',
      /it has no such key any longer/,
      false,
    );
    const noPlace = async () => {
      throw new IngotError('SYS.1006', 'the database is away');
    };
    await refuses(
      open(root, { uuid, learnHostKey: noPlace }).ping(),
      'SYS.1006',
      /the database is away/,
      false,
    );
  });

  it('logs in with a password, and says when it is wrong', async (t) => {
    if (!(await canTakePasswords())) return t.skip('only root, with the right to mount, can give passwords');
    const server = await startSshd({ keys: temporaryDirectory(), password: 'correct horse ü' });
    try {
      const root = join(temporaryDirectory(), 'store');
      const { port } = server;
      const login = { port, privateKey: undefined, username: 'root' };
      await open(root, {}, { ...login, password: 'correct horse ü' }).initialise();
      await refuses(
        open(root, {}, { ...login, password: 'wrong' }).ping(),
        'BS.1005',
        /^root@127\.0\.0\.1:\d+ refuses the log in: the user, the password or the key is wrong$/,
        false,
      );
      // The key that it doesn't know is tried first, and then the password.
      await refuses(open(root, {}, { port }).ping(), 'BS.1005', /refuses the log in/, false);
      await open(root, {}, { port, username: 'root', password: 'correct horse ü' })
        .ping()
        .catch((error) => assert.match(error.details, /was expected/));
    } finally {
      await server.stop();
    }
  });

  it('says of hosts and ports that are none what they are', async () => {
    await refuses(
      open('/srv/x', {}, { port: 1 }).ping(),
      'BS.1005',
      /can't be connected: .*ECONNREFUSED/,
      true,
    );
    await refuses(
      open('/srv/x', {}, { host: 'no-such-host.invalid' }).ping(),
      'BS.1005',
      /there is no host of that name/,
      true,
    );
  });

  it('becomes no storage where it is one, holds something, lies in one or can not be written', async () => {
    const place = temporaryDirectory();
    const root = join(place, 'store');
    const driver = open(root);
    await driver.initialise();
    await driver.initialise();
    await refuses(open(root).initialise(), 'SYS.1007', /is the backup storage \w+ already/, false);
    await refuses(open(join(root, 'inside')).initialise(), 'SYS.1007', /lies in the backup storage/, false);
    assert.deepEqual(readdirSync(root), ['.ingot-backup-storage']);
    mkdirSync(join(place, 'full', 'sub'), { recursive: true });
    await refuses(
      open(join(place, 'full')).initialise(),
      'SYS.1007',
      /is not empty \(it holds 'sub'\)/,
      false,
    );
    writeFileSync(join(place, 'file'), 'x');
    await assert.rejects(open(join(place, 'file', 'below')).initialise(), IngotError);
    await refuses(
      open(join(place, 'none')).ping(),
      'BS.1005',
      /holds no backup storage, but .* was expected/,
      true,
    );
    await driver.retire();
    await driver.retire();
    assert.deepEqual(readdirSync(root), []);
    assert.equal(existsSync(join(place, 'none')), false);
  });

  it('is not well while it can not be written', async (t) => {
    const root = await smallFileSystem(4 * MIB);
    if (root === undefined) return t.skip(NO_SMALL_FILE_SYSTEM);
    const driver = open(root);
    await driver.initialise();
    await runProgram('mount', ['-o', 'remount,ro', root]);
    await assert.rejects(driver.ping(), { code: 'SYS.1016' });
    await assert.rejects(open(join(root, 'sub')).initialise(), IngotError);
    await runProgram('mount', ['-o', 'remount,rw', root]);
    await driver.ping();
  });
});
