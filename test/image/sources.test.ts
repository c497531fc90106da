import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { ftpSource } from '../../src/transfer/ftp-source.ts';
import { KnownHosts } from '../../src/transfer/known-hosts.ts';
import { sftpSource } from '../../src/transfer/sftp-source.ts';
import { startCuttingProxy } from '../support/cutting-proxy.ts';
import { type FtpServer, startFtpServer } from '../support/proftpd.ts';
import { runProgram } from '../support/program.ts';
import { startTestService, type TestService } from '../support/service.ts';
import { smallMbrDisk } from '../support/small-disks.ts';
import { canTakePasswords, type Sshd, startSshd } from '../support/sshd.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';
import { Receiver } from '../transfer/receiver.ts';

const MIB = 1024 * 1024;
const PASSWORD = 'p@ss/w:rd';
const mayHavePasswords = await canTakePasswords();

describe('images from files, FTP and SFTP', () => {
  const directory = temporaryDirectory();
  const outside = temporaryDirectory();
  let bytes: Buffer;
  let service: TestService;
  let sshd: Sshd;
  /** What a client's known_hosts says of it. */
  let knownHosts: string;
  let ftp: FtpServer;

  before(async () => {
    chmodSync(directory, 0o755);
    bytes = Buffer.concat([readFileSync((await smallMbrDisk()).path), randomBytes(12 * MIB)]);
    writeFileSync(join(directory, 'größe 1.raw'), bytes);
    writeFileSync(join(outside, 'disk.raw'), bytes);
    mkdirSync(join(directory, 'sub'));
    symlinkSync(outside, join(directory, 'leads-out'));
    symlinkSync(join(directory, 'größe 1.raw'), join(directory, 'stays-in.raw'));
    await runProgram('mkfifo', [join(directory, 'pipe')]);
    [sshd, ftp] = await Promise.all([
      startSshd({ keys: temporaryDirectory(), ...(mayHavePasswords && { password: PASSWORD }) }),
      startFtpServer(directory, temporaryDirectory()),
    ]);
    const [type, key] = readFileSync(join(sshd.keys, 'host.pub'), 'utf8').split(' ');
    knownHosts = `[127.0.0.1]:${sshd.port} ${type} ${key}\n`;
    service = await startTestService({ settings: { importDirectories: directory, stallTimeout: 1 } });
  });
  after(async () => {
    await service?.stop();
    await sshd?.stop();
    await ftp?.stop();
  });

  const add = (url: string) => service.client.call('AddImage', { name: 'disk', url });
  const sftpUrl = (path: string, password = PASSWORD) =>
    `sftp://${sshd.username}:${encodeURIComponent(password)}@127.0.0.1:${sshd.port}${encodeURI(join(directory, path))}`;
  const digest = () => createHash('sha256').update(bytes).digest('hex');

  for (const kind of ['sftp', 'ftp'] as const) {
    const url = (path: string) => (kind === 'sftp' ? sftpUrl(path) : ftp.url(path));
    /** The same file, where the server or something in front of it is said to be elsewhere. */
    const at = (host: string) => url('größe 1.raw').replace(/@[^/]+/, `@${host}`);
    const skip = kind === 'sftp' && !mayHavePasswords && 'only root can give a server passwords of its own';

    it(`takes one from ${kind}, and shows no password`, { skip }, async () => {
      const { inventory } = await add(url('größe 1.raw'));
      assert.equal(inventory.sha256Sum, digest());
      assert.match(inventory.url, /:\*\*\*@127/);
      const [job] = await service.client.query('LongJob', `targetResourceUuid=${inventory.uuid}`);
      assert.ok(!JSON.stringify(job).includes('p@ss') && !JSON.stringify(job).includes('p%40ss'));
      assert.ok(!/p@ss|p%40ss/.test(service.log()));
    });

    it(`says what is wrong with a file on ${kind} that is not there`, { skip }, async () => {
      await assert.rejects(add(url('no-such.raw')), (error: Error & { code?: string }) => {
        assert.equal(error.code, 'SYS.1015');
        assert.match(error.message, /no-such\.raw/);
        assert.match(error.message, /does not exist|has no file/);
        assert.ok(!error.message.includes('p%40ss'));
        return true;
      });
    });

    it(`says that a password for ${kind} is wrong`, async () => {
      const wrong =
        kind === 'sftp' ? sftpUrl('größe 1.raw', 'wrong') : ftp.url('größe 1.raw', 'ftp-user', 'wrong');
      await assert.rejects(add(wrong), { code: 'SYS.1015', message: /does not let ".*" in/ });
    });

    it(`says that nothing listens where ${kind} should`, async () => {
      const proxy = await startCuttingProxy(1);
      await proxy.close();
      await assert.rejects(add(at(`127.0.0.1:${proxy.port}`)), {
        code: 'SYS.1015',
        message: /refused the connection/,
      });
    });

    it(`gives up a server for ${kind} that takes the connection and says nothing`, async () => {
      const silent = await startSilent();
      const receiver = await Receiver.open(1);
      const source = { ftp: ftpSource, sftp: sftpSource }[kind];
      const options = { stallTimeout: 100, retry: { tries: 2, baseDelay: 5 } };
      await assert.rejects(receiver.takeFrom(source(new URL(at(`127.0.0.1:${silent.port}`)), options)), {
        code: 'SYS.1015',
        message: /came for|speak SSH/,
      });
      assert.deepEqual(receiver.happened(), ['break', 'break']);
      assert.deepEqual(await receiver.found(), []);
      await silent.close();
    });

    it(`connects for ${kind} to nothing that must not be connected to`, async () => {
      const { port } = new URL(service.address);
      for (const host of [
        '169.254.169.254',
        `[::ffff:169.254.1.1]`,
        `127.0.0.1:${port}`,
        `localhost:${port}`,
      ]) {
        const refusal = { code: 'ID.1002', message: /must not be connected to/ };
        await assert.rejects(add(at(host)), refusal, host);
      }
    });
  }

  it('goes on where an SFTP connection was cut, or hung', { skip: !mayHavePasswords }, async () => {
    const proxy = await startCuttingProxy(sshd.port);
    const url = new URL(sftpUrl('größe 1.raw').replace(`:${sshd.port}/`, `:${proxy.port}/`));
    for (const disturb of [() => proxy.cut(), () => proxy.hold(true)]) {
      const receiver = await Receiver.open(1);
      let begun = false;
      const source = sftpSource(url, { stallTimeout: 1000, retry: { baseDelay: 5 } });
      const result = await receiver.takeFrom(source, {
        onProgress: () => {
          if (!begun) disturb();
          begun = true;
        },
      });
      await receiver.check(result, bytes);
      assert.deepEqual(receiver.happened(), ['break', 'resume']);
    }
    await proxy.close();
  });

  it('goes on where an FTP server died', async () => {
    const receiver = await Receiver.open(1);
    const url = new URL(ftp.url('größe 1.raw'));
    let killed = false;
    const result = await receiver.takeFrom(
      ftpSource(url, { stallTimeout: 20_000, retry: { baseDelay: 5 } }),
      {
        onProgress: () => {
          if (!killed) ftp.killSessions();
          killed = true;
        },
      },
    );
    await receiver.check(result, bytes);
    assert.deepEqual(receiver.happened(), ['break', 'resume']);
  });

  it('trusts only the SSH servers that are known, where a file names them', {
    skip: !mayHavePasswords,
  }, async () => {
    const url = new URL(sftpUrl('größe 1.raw'));
    const open = (known: KnownHosts) =>
      sftpSource(url, { stallTimeout: 5000, knownHosts: known }).open({
        offset: 0,
        signal: new AbortController().signal,
      });
    const opened = await open(new KnownHosts(`# a comment\n${knownHosts}`));
    assert.equal(opened.facts.totalSize, bytes.length);
    assert.match(opened.facts.hostKey ?? '', /^SHA256:/);
    opened.body.close();
    const hashed = join(temporaryDirectory(), 'known_hosts');
    writeFileSync(hashed, knownHosts);
    await runProgram('ssh-keygen', ['-q', '-H', '-f', hashed]);
    const again = await open(new KnownHosts(readFileSync(hashed, 'utf8')));
    again.body.close();
    const other = knownHosts.replace('127.0.0.1', '127.0.0.2');
    for (const text of ['', other, `@revoked ${knownHosts}${knownHosts}`]) {
      await assert.rejects(open(new KnownHosts(text)), { message: /not in the file of known hosts/ });
    }
    await assert.rejects(
      sftpSource(url, { stallTimeout: 5000 }).open({
        offset: 5,
        facts: { hostKey: 'SHA256:another', totalSize: bytes.length },
        signal: new AbortController().signal,
      }),
      { message: /has changed since the download began/ },
    );
  });

  it("takes files of the service's own machine, by URL or path, through links that stay inside", async () => {
    const file = join(directory, 'größe 1.raw');
    for (const url of [`file://${encodeURI(file)}`, file, join(directory, 'stays-in.raw')]) {
      const { inventory } = await add(url);
      assert.equal(inventory.sha256Sum, digest());
      assert.match(inventory.url, /^file:\/\/\//);
    }
  });

  it('takes none from elsewhere, whichever way it is written', async () => {
    const refused = [
      join(outside, 'disk.raw'),
      join(directory, 'leads-out', 'disk.raw'),
      `${directory}/sub/../../${outside.split('/').at(-1)}/disk.raw`,
      `file://${directory}/%2e%2e/${outside.split('/').at(-1)}/disk.raw`,
      `${directory}-beside/disk.raw`,
      '/etc/shadow',
      '/no/such/file',
      directory,
    ];
    for (const url of refused) {
      await assert.rejects(add(url), { code: 'SYS.1007', message: /may not be taken in/ }, url);
    }
    await assert.rejects(add(`file://elsewhere${directory}/x`), { code: 'SYS.1007' });
    await assert.rejects(add(join(directory, 'sub')), { code: 'SYS.1007', message: /is no file/ });
    await assert.rejects(add(join(directory, 'pipe')), { code: 'SYS.1007', message: /is no file/ });
    await assert.rejects(add(join(directory, 'gone')), { code: 'SYS.1007', message: /does not exist/ });
  });

  it('takes none at all where no directory is allowed', async () => {
    const closed = await startTestService();
    try {
      const url = join(directory, 'größe 1.raw');
      const call = closed.client.call('AddImage', { name: 'x', url });
      await assert.rejects(call, { code: 'SYS.1007', message: /none is allowed/ });
    } finally {
      await closed.stop();
    }
  });

  it('leaves nothing of what it refused', async () => {
    const images = await service.client.query('Image');
    assert.ok(images.every((image) => image.status === 'Ready'));
    for (const { uuid } of images) await service.client.call('DeleteImage', { uuid });
    rmSync(directory, { recursive: true });
  });
});

/** A server that accepts, and never says a word. */
async function startSilent(): Promise<{ port: number; close(): Promise<void> }> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => sockets.push(socket.on('error', () => {})));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    port: typeof address === 'object' ? (address?.port ?? 0) : 0,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}
