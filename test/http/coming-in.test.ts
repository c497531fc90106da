/** What comes in: how much of it, how slowly, from where; and over TLS, by ourselves and behind a proxy. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { Ingot } from '../cli/ingot.ts';
import { startNginx } from '../support/nginx.ts';
import { runProgram } from '../support/program.ts';
import { startRangeServer } from '../support/range-server.ts';
import { selfSignedCertificate } from '../support/self-signed-certificate.ts';
import { startTestService, type TestService, until } from '../support/service.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

/** However it was: what is sent to who has hung up already is reset. */
const closed = (socket: Socket) => new Promise((resolve) => socket.once('close', resolve));

describe('a caller', () => {
  let service: TestService;
  before(async () => {
    service = await startTestService({ settings: { requestTimeout: 1, answerTimeout: 2 } });
  });
  after(() => service.stop());

  function dial(): Socket & { said: () => string } {
    const { hostname, port } = new URL(service.address);
    let text = '';
    const socket = connect(Number(port), hostname);
    socket.setEncoding('latin1').on('data', (piece) => {
      text += piece;
    });
    socket.on('error', () => {});
    return Object.assign(socket, { said: () => text });
  }

  it('who sends the head of a call for ever, a byte at a time, is hung up on, and others are answered meanwhile', async () => {
    const slow = Array.from({ length: 50 }, dial);
    const dripping = setInterval(() => {
      for (const socket of slow) socket.write('a');
    }, 100);
    try {
      for (const socket of slow) socket.write('GET /v1/images HTTP/1.1\r\nHost: x\r\nX-Slow: ');
      assert.equal((await service.client.http('GET', '/healthz')).status, 200);
      await Promise.all(slow.map((socket) => closed(socket)));
      for (const socket of slow) assert.match(socket.said(), /^(HTTP\/1\.1 408 |$)/);
    } finally {
      clearInterval(dripping);
    }
  });

  it('who sends the body of a call for ever is hung up on', async () => {
    const socket = dial();
    socket.write(
      'PUT /zstack/v1/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{',
    );
    const dripping = setInterval(() => socket.write(' '), 100);
    await closed(socket).finally(() => clearInterval(dripping));
    assert.match(socket.said(), /^(HTTP\/1\.1 408 |$)/);
  });

  it('who was answered already, and does not end the body of the call, is hung up on all the same', async () => {
    for (const call of [
      'GET /nowhere',
      'GET /%zz',
      `GET /v1/jobs/${'x'.repeat(200)}`,
      'OPTIONS /uploads/x',
      'PATCH /uploads/x',
      'HEAD /uploads/x',
    ]) {
      const socket = dial();
      const begun = performance.now();
      socket.write(
        `${call} HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n` +
          'Content-Type: application/offset+octet-stream\r\nContent-Length: 1000\r\n\r\n{',
      );
      const dripping = setInterval(() => socket.write(' '), 100);
      await closed(socket).finally(() => clearInterval(dripping));
      assert.match(socket.said(), /^HTTP\/1\.1 (4|204)/, call);
      // It has 1 s, and would go on for 100 s.
      assert.ok(performance.now() - begun < 10_000, `${call}: ${performance.now() - begun} ms`);
    }
  });

  it('may end the body of a call after its answer, and be answered further', async () => {
    for (const call of ['GET /nowhere', 'GET /%zz', 'OPTIONS /uploads/x', 'HEAD /uploads/x']) {
      const socket = dial();
      const answers = () => socket.said().split('HTTP/1.1 ').length - 1;
      socket.write(
        `${call} HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n` +
          'Content-Type: application/offset+octet-stream\r\nContent-Length: 100000\r\n\r\n',
      );
      await until('the first answer', async () => answers() === 1);
      socket.write('x'.repeat(100_000));
      // Longer than the body may take: it is whole by then.
      await sleep(1300);
      socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n');
      await until(`the second answer after ${call}`, async () => answers() === 2);
      assert.match(socket.said(), /HTTP\/1\.1 200 OK/);
      socket.destroy();
    }
  });

  it('who takes none of the answers that it asked for is hung up on, and little is held for it', async () => {
    const open = async () => {
      const { text } = await service.client.http('GET', '/metrics');
      return Number(/^ingot_http_connections (\d+)$/m.exec(text)?.[1]);
    };
    const before = { open: await open(), memory: process.memoryUsage().rss };
    const many = Array.from({ length: 60 }, dial);
    for (const socket of many) {
      socket.pause();
      socket.write('GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(15));
    }
    await until('all to be connected', async () => (await open()) >= before.open + many.length);
    const more = process.memoryUsage().rss - before.memory;
    assert.ok(more < 128 * 2 ** 20, `${more} bytes more`);
    await until('all to be hung up on', async () => (await open()) <= before.open);
    for (const socket of many) {
      socket.resume();
      await closed(socket);
      const answers = socket.said().split('HTTP/1.1 200').length - 1;
      assert.ok(answers < 15, `${answers} answers`);
    }
  });

  it('who takes nothing of a download is hung up on, and the file is let go', async () => {
    // More than the system takes for a client that does not read.
    const disk = Buffer.alloc(16 * 2 ** 20, 'x');
    disk.fill(0, 0, 512).set([0x00, 0, 0, 0, 0x83, 0, 0, 0], 446);
    disk.writeUInt32LE(2048, 454);
    disk.writeUInt32LE(8192, 458);
    disk.writeUInt16LE(0xaa55, 510);
    const source = await startRangeServer({ files: { '/disk.raw': disk } });
    const { inventory } = await service.client.call('AddImage', { name: 'x', url: source.url('/disk.raw') });
    await source.close();
    const [{ installPath }] = inventory.backupStorageRefs;
    const opened = () =>
      readdirSync('/proc/self/fd').filter((fd) => {
        try {
          return readlinkSync(`/proc/self/fd/${fd}`) === installPath;
        } catch {
          return false;
        }
      }).length;
    const many = Array.from({ length: 40 }, dial);
    for (const socket of many) {
      socket.pause();
      socket.write(
        `GET /v1/images/${inventory.uuid}/file HTTP/1.1\r\nHost: x\r\nAuthorization: OAuth ${service.client.session}\r\n\r\n`,
      );
    }
    await until('all downloads to be under way', () => opened() === many.length);
    await until('all to be let go', () => opened() === 0);
    for (const socket of many) {
      socket.resume();
      await closed(socket);
      assert.ok(socket.said().length < disk.length);
    }
  });

  it('who asks further and further without an answer is hung up on', async () => {
    const socket = dial();
    socket.write('GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(400));
    await closed(socket);
  });

  it('may send so much and no more', async () => {
    const body = { params: { name: 'x'.repeat(1_048_576), url: '/x' } };
    const large = await service.client.http('POST', '/zstack/v1/backup-storage/local', { body });
    assert.equal(large.status, 413, large.text);
    const socket = dial();
    socket.write(`GET /healthz HTTP/1.1\r\nHost: x\r\nX-Large: ${'x'.repeat(200_000)}\r\n\r\n`);
    await closed(socket);
    assert.match(socket.said(), /^HTTP\/1\.1 431 /);
  });

  it('gets no leave for pages of other origins, and answers that are not to be framed, kept or guessed at', async () => {
    const { uploadUrl } = await service.client.call('AddImage', { name: 'up', url: 'upload://up' });
    const upload = new URL(uploadUrl).pathname;
    const asked = { origin: 'https://elsewhere.example', 'access-control-request-method': 'POST' };
    const tus = { 'tus-resumable': '1.0.0', 'upload-offset': '0' };
    const bytes = { ...tus, 'content-type': 'application/offset+octet-stream' };
    for (const [method, path, status, headers = {}] of [
      ['OPTIONS', '/v1/images', 404],
      ['OPTIONS', '/zstack/v1/images', 404],
      ['GET', '/zstack/v1/images', 200],
      ['GET', '/healthz', 200],
      ['GET', '/readyz', 200],
      ['GET', '/v1/images', 200],
      ['GET', '/docs', 200],
      ['GET', '/nowhere', 404],
      ['GET', '/%zz', 400],
      ['GET', `/v1/jobs/${'x'.repeat(200)}`, 414],
      ['GET', '/metrics', 200],
      ['OPTIONS', upload, 204],
      ['OPTIONS', '/uploads/none', 204],
      ['HEAD', upload, 200, tus],
      ['HEAD', upload, 412],
      ['HEAD', '/uploads/none', 404, tus],
      ['POST', upload, 201, { ...tus, 'upload-length': '8' }],
      ['POST', upload, 400, { ...tus, 'upload-length': 'x' }],
      ['PATCH', upload, 409, { ...bytes, 'upload-offset': '5' }],
      ['PATCH', upload, 204, bytes],
      ['DELETE', upload, 204, tus],
      ['GET', upload, 404],
    ] as const) {
      const body = method === 'PATCH' ? { body: 'abcd' } : {};
      const answer = await service.client.http(method, path, {
        headers: { ...asked, ...headers },
        ...body,
      });
      const told = answer.headers;
      const about = `${method} ${path}`;
      assert.equal(answer.status, status, `${about}: ${answer.text}`);
      const allowed = [...told.keys()].filter((name) => name.startsWith('access-control-'));
      assert.deepEqual(allowed, [], about);
      assert.match(told.get('x-request-id') ?? '', /^[0-9a-f-]{36}$/, about);
      assert.equal(told.get('x-content-type-options'), 'nosniff', about);
      assert.equal(told.get('x-frame-options'), 'DENY', about);
      assert.equal(told.get('referrer-policy'), 'no-referrer', about);
      assert.equal(told.get('cross-origin-resource-policy'), 'same-origin', about);
      assert.equal(told.get('cache-control'), 'no-store', about);
      assert.match(
        told.get('content-security-policy') ?? '',
        /default-src 'none'.*frame-ancestors 'none'/,
        about,
      );
      assert.equal(told.get('strict-transport-security'), null, about);
    }
  });

  it('is told the beginning of what was wrong, however long it is', async () => {
    const long = 'x'.repeat(100_000);
    const json = (body: unknown) => ({ headers: { 'content-type': 'application/json' }, body });
    for (const [method, path, options = {}] of [
      ['GET', `/nowhere/${long}`],
      ['GET', `/%zz${long}`],
      ['GET', `/v1/jobs/${long}`],
      ['GET', `/v1/images?${long}=1`],
      ['GET', '/v1/images', { headers: { 'x-job-uuid': long } }],
      ['GET', '/v1/images', { headers: { 'x-api-timeout': long } }],
      ['POST', '/zstack/v1/images', { headers: { 'x-web-hook': long } }],
      ['POST', '/zstack/v1/images', { headers: { 'x-web-hook': `http://${long}/` } }],
      ['GET', '/v1/images', { headers: { authorization: 'ZStack a:b', date: long } }],
      ['POST', '/zstack/v1/images', json({ [long]: {} })],
      ['POST', '/v1/images', json({ [long]: {} })],
      ['POST', '/zstack/api', json({ [long]: {} })],
    ] as const) {
      const answer = await service.client.http(method, path, options);
      assert.ok(answer.text.includes('…') && answer.text.length < 2000, `${method} ${path.slice(0, 30)}`);
    }
  });

  it('is not told back what it sent as JSON that is none', async () => {
    const answer = await service.client.http('PUT', '/zstack/v1/accounts/login', {
      body: '{"logInByAccount": {"password": "hunter2", }',
    });
    assert.equal(answer.status, 400);
    assert.match(answer.json.error.details, /is not JSON/);
    assert.doesNotMatch(answer.text, /hunter2/);
  });
});

/** One exchange over https that trusts this certificate alone. */
async function get(url: string, ca: string, headers: Record<string, string> = {}) {
  const request = https.get(url, { ca, headers, agent: false });
  const [response] = await once(request, 'response');
  let text = '';
  for await (const piece of response.setEncoding('utf8')) text += piece;
  return { status: response.statusCode as number, headers: response.headers, text };
}

describe('TLS', () => {
  it('is spoken with a certificate of its own, known to the command line, and renewed while the service runs', async () => {
    const directory = temporaryDirectory();
    const [certificate, key] = [join(directory, 'cert.pem'), join(directory, 'key.pem')];
    const first = await selfSignedCertificate();
    writeFileSync(certificate, first.cert);
    writeFileSync(key, first.key, { mode: 0o600 });
    const ingot = new Ingot();
    const serving = ingot.start([
      'serve',
      '--listen',
      '127.0.0.1:0',
      '--tls-certificate',
      certificate,
      '--tls-key',
      key,
    ]);
    const [, address = ''] = await serving.says(/Ingot serves (https:\S+)/);
    const answer = await get(`${address}/healthz`, first.cert);
    assert.equal(answer.status, 200);
    assert.match(String(answer.headers['strict-transport-security']), /max-age/);
    await assert.rejects(fetch(address.replace('https:', 'http:')));

    const zones = await ingot.run(['QueryZone', 'fields=name', '--json']);
    assert.equal(zones.code, 0, zones.stderr);
    assert.match(zones.stdout, /default/);
    const named = new Ingot({ server: address });
    const stranger = await named.run(['GetVersion']);
    assert.notEqual(stranger.code, 0);
    assert.match(stranger.stderr, /self-signed|self signed/);
    named.environment.INGOT_CA_FILE = certificate;
    assert.equal((await named.run(['GetVersion'])).code, 0);

    const shown = async () => {
      const { hostname, port } = new URL(address);
      const socket = connectTls({ host: hostname, port: Number(port), rejectUnauthorized: false });
      await once(socket, 'secureConnect');
      const { fingerprint256 } = socket.getPeerCertificate();
      socket.destroy();
      return fingerprint256;
    };
    const before = await shown();
    writeFileSync(key, 'no key');
    serving.child.kill('SIGHUP');
    await serving.says(/could not be read again/);
    assert.equal(await shown(), before);
    await runProgram('openssl', [
      ...[
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:prime256v1',
        '-nodes',
        '-days',
        '2',
      ],
      ...['-subj', '/CN=renewed', '-keyout', key, '-out', certificate],
    ]);
    serving.child.kill('SIGHUP');
    await until('the new certificate', async () => (await shown()) !== before);
    serving.child.kill('SIGTERM');
    assert.equal((await serving.ended).code, 0);
  });

  it('is spoken with nobody who never ends his handshake, or takes no answer', async () => {
    const directory = temporaryDirectory();
    const [certificate, key] = [join(directory, 'cert.pem'), join(directory, 'key.pem')];
    const pair = await selfSignedCertificate();
    writeFileSync(certificate, pair.cert);
    writeFileSync(key, pair.key, { mode: 0o600 });
    const serving = new Ingot().start([
      ...['serve', '--listen', '127.0.0.1:0', '--tls-certificate', certificate, '--tls-key', key],
      ...['--request-timeout', '5', '--answer-timeout', '2'],
    ]);
    try {
      const [, address = ''] = await serving.says(/Ingot serves (https:\S+)/);
      const { hostname, port } = new URL(address);
      const silent = connect(Number(port), hostname);
      silent.on('error', () => {}).resume();
      await closed(silent);

      const socket = connectTls({ host: hostname, port: Number(port), ca: pair.cert });
      socket.on('error', () => {}).setEncoding('latin1');
      await once(socket, 'secureConnect');
      socket.pause().write('GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(15));
      await until('it to be hung up on', async () => {
        const { text } = await get(`${address}/metrics`, pair.cert, { connection: 'close' });
        return /^ingot_http_connections 1$/m.test(text);
      });
      let said = '';
      socket.on('data', (piece) => {
        said += piece;
      });
      socket.resume();
      await closed(socket);
      assert.ok(said.split('HTTP/1.1 200').length - 1 < 15);

      // Nor is the end kept waiting for one that has not begun.
      const another = connect(Number(port), hostname);
      another.on('error', () => {}).resume();
      await once(another, 'connect');
      serving.child.kill('SIGTERM');
      assert.equal((await serving.ended).code, 0);
    } finally {
      serving.child.kill('SIGTERM');
      await serving.ended;
    }
  });

  it('is refused, with the reason, where certificate and key are no pair', async () => {
    const directory = temporaryDirectory();
    const { cert } = await selfSignedCertificate();
    const file = join(directory, 'cert.pem');
    writeFileSync(file, cert);
    const refused = async (settings: { tlsCertificate: string; tlsKey: string }, sentence: RegExp) => {
      await assert.rejects(startTestService({ settings }), { code: 'SYS.1007', message: sentence });
    };
    await refused({ tlsCertificate: file, tlsKey: '' }, /--tls-certificate is given alone/);
    await refused({ tlsCertificate: '', tlsKey: file }, /--tls-key is given alone/);
    await refused({ tlsCertificate: file, tlsKey: file }, /can't be used/);
    await refused({ tlsCertificate: file, tlsKey: join(directory, 'none') }, /can't be used: ENOENT/);
  });

  it('is what nginx in front speaks, as the documentation has it, and the caller is known by his own address', async (test) => {
    const service = await startTestService({ settings: { trustedProxies: '127.0.0.1' } });
    test.after(() => service.stop());
    const { cert, key } = await selfSignedCertificate();
    const directory = temporaryDirectory();
    writeFileSync(join(directory, 'chain.pem'), cert);
    writeFileSync(join(directory, 'key.pem'), key);
    const text = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'operations.md'), 'utf8');
    const documented = /```nginx\n(.*?)```/s.exec(text)?.[1] ?? '';
    const nginx = await startNginx(directory, temporaryDirectory(), (port) =>
      documented
        .replace('listen 443 ssl', `listen 127.0.0.1:${port} ssl`)
        .replaceAll('/etc/ingot', directory)
        .replace('http://127.0.0.1:8080', service.address),
    );
    test.after(() => nginx.stop());
    const address = nginx.url('').replace('http:', 'https:');
    const { session = '' } = service.client;
    const authorization = `OAuth ${session}`;
    const zones = await get(`${address}zstack/v1/zones`, cert, { authorization });
    assert.equal(zones.status, 200, zones.text);
    assert.match(String(zones.headers['strict-transport-security']), /max-age/);
    const uuid = JSON.parse(zones.text).inventories[0].uuid;
    const request = https.request(`${address}zstack/v1/zones/${uuid}/actions`, {
      method: 'PUT',
      ca: cert,
      headers: { authorization, 'content-type': 'application/json', 'x-forwarded-for': '6.6.6.6' },
    });
    request.end('{"noSuchAction": {}}');
    const [response] = await once(request, 'response');
    response.resume();
    assert.ok(response.statusCode >= 400);

    // Where to poll is where the proxy is; and who says that he is somebody else is not believed.
    const [store] = await service.client.query('BackupStorage');
    const change = https.request(`${address}zstack/v1/backup-storage/${store?.uuid}/actions`, {
      method: 'PUT',
      ca: cert,
      headers: { authorization, 'content-type': 'application/json', 'x-forwarded-for': '6.6.6.6' },
    });
    change.end(JSON.stringify({ changeBackupStorageState: { stateEvent: 'disable' } }));
    const [accepted] = await once(change, 'response');
    let body = '';
    for await (const piece of accepted.setEncoding('utf8')) body += piece;
    assert.equal(accepted.statusCode, 202, body);
    const { location } = JSON.parse(body);
    assert.ok(location.startsWith(address), location);
    assert.equal((await get(location, cert)).status, 200);
    const [row] = await service.client.query('Audit', 'apiName=ChangeBackupStorageState');
    assert.equal(row?.clientIp, '127.0.0.1');
    // Past the proxy, the header is believed of nobody but it.
    const direct = await service.client.http('GET', '/zstack/v1/zones', {
      headers: { 'x-forwarded-for': '9.9.9.9' },
    });
    assert.equal(direct.status, 200);
  });
});
