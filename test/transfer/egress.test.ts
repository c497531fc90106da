import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { type AddressInfo, createServer, type LookupFunction } from 'node:net';
import { networkInterfaces } from 'node:os';
import { after, describe, it } from 'node:test';
import fc from 'fast-check';
import type { IngotError } from '../../src/kernel/errors.ts';
import { Egress } from '../../src/transfer/egress.ts';
import { parseEgressRules } from '../../src/transfer/egress-rules.ts';
import { parseEgressSchemes } from '../../src/transfer/egress-schemes.ts';
import { ftpSource } from '../../src/transfer/ftp-source.ts';
import { sftpSource } from '../../src/transfer/sftp-source.ts';
import { type RangeServerOptions, startRangeServer } from '../support/range-server.ts';
import { Receiver } from './receiver.ts';

const CONTENT = Buffer.from('the bytes of an image');

async function serve(options: RangeServerOptions = {}) {
  const server = await startRangeServer({ files: { '/image': CONTENT }, ...options });
  after(() => server.close());
  return server;
}

/** Says these addresses to the first, second, … question; the last ones from then on. */
function answering(...answers: string[][]): LookupFunction & { asked: string[] } {
  const asked: string[] = [];
  const lookup: LookupFunction = (host, _options, callback) => {
    const addresses = answers[Math.min(asked.length, answers.length - 1)] ?? [];
    asked.push(host);
    callback(
      null,
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    );
  };
  return Object.assign(lookup, { asked });
}

const egress = (allow: string, lookup?: LookupFunction) =>
  new Egress({ rules: parseEgressRules(allow), ...(lookup && { lookup }) });

/** Whether the address may be connected to: undefined, or why not. */
function whyNot(allow: string, host: string, port = 80): string | undefined {
  try {
    egress(allow).lookupFor({ scheme: 'http', host, port });
    return undefined;
  } catch (error) {
    assert.equal((error as IngotError).code, 'ID.1002');
    return (error as IngotError).details;
  }
}

async function refused(url: string, policy: Egress, sentence: RegExp): Promise<void> {
  const receiver = await Receiver.open(1);
  await assert.rejects(receiver.take(url, { http: { egress: policy } }), (error: IngotError) => {
    assert.match(`${error.details} ${String(error.cause ?? '')}`, sentence);
    return true;
  });
  assert.deepEqual(await receiver.found(), []);
}

/** An IPv4 address in all the forms that lead to it. */
function spellings(address: string): string[] {
  const parts = address.split('.').map(Number);
  const [a = 0, b = 0, c = 0, d = 0] = parts;
  const hex = (high: number, low: number) => ((high << 8) | low).toString(16);
  const inverted = (high: number, low: number) => (((high << 8) | low) ^ 0xffff).toString(16);
  return [
    address,
    `::ffff:${address}`,
    `[::ffff:${hex(a, b)}:${hex(c, d)}]`,
    `0:0:0:0:0:FFFF:${hex(a, b)}:${hex(c, d)}`,
    `::ffff:0:${address}`,
    `64:ff9b::${address}`,
    `64:ff9b:1::${hex(a, b)}:${hex(c, d)}`,
    `2002:${hex(a, b)}:${hex(c, d)}::1`,
    `2001:0:4136:e378:8000:63bf:${inverted(a, b)}:${inverted(c, d)}`,
    `2001:4860::5efe:${hex(a, b)}:${hex(c, d)}`,
  ];
}

/** As a URL may write it; every client that parses URLs or asks the system's resolver takes these for the address. */
function oddHosts(address: string): string[] {
  const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number);
  const number = ((a * 256 + b) * 256 + c) * 256 + d;
  const octal = (part: number) => `0${part.toString(8)}`;
  return [
    String(number),
    `0x${number.toString(16)}`,
    `0${number.toString(8)}`,
    [a, b, c, d].map(octal).join('.'),
    `0x${a.toString(16)}.${b}.${c * 256 + d}`,
    `${a}.${(b * 256 + c) * 256 + d}`,
    [a, b, c, d]
      .map((part) => String.fromCodePoint(...[...String(part)].map((digit) => 0xff10 + Number(digit))))
      .join('。'),
  ];
}

const DEFAULT = 'public,private,loopback';

describe('where the service may connect to', () => {
  it('is the world and private networks, and never what a cloud tells its machines, in whatever spelling', () => {
    const metadata = ['169.254.169.254', '169.254.170.2', '100.100.100.200', '192.0.0.192', '168.63.129.16'];
    for (const address of metadata.flatMap(spellings)) {
      assert.match(whyNot(DEFAULT, address) ?? 'allowed', /link-local|metadata/, address);
      assert.match(whyNot('0.0.0.0/0,::/0,private', address) ?? 'allowed', /link-local|metadata/, address);
    }
    for (const address of ['fe80::1', 'fe80::1%eth0', 'febf::', 'fd00:ec2::254', '[fd00:ec2::254]'])
      assert.match(whyNot(DEFAULT, address) ?? 'allowed', /link-local|metadata/, address);
    for (const address of [
      '0.0.0.0',
      '0.1.2.3',
      '::',
      '224.0.0.1',
      '255.255.255.255',
      'ff02::1',
      '::0.0.0.5',
    ])
      assert.match(whyNot(DEFAULT, address) ?? 'allowed', /reserved/, address);
    for (const address of ['8.8.8.8', '10.1.2.3', '172.16.0.1', '192.168.0.1', 'fd12::1', '2606:4700::1111'])
      assert.equal(whyNot(DEFAULT, address), undefined, address);
    for (const address of spellings('127.0.0.1').concat('::1', '127.255.255.254')) {
      assert.match(whyNot('public,private', address) ?? 'allowed', /loopback/, address);
      assert.match(whyNot('0.0.0.0/0,::/0', address) ?? 'allowed', /loopback/, address);
    }
  });

  it('does not hang on how an address is written', () => {
    const part = fc.integer({ min: 0, max: 255 });
    const ipv4 = fc.tuple(part, part, part, part).map((parts) => parts.join('.'));
    fc.assert(
      fc.property(
        ipv4,
        fc.constantFrom('public', 'private', 'public,private', '10.0.0.0/8', 'loopback'),
        (address, allow) => {
          const plain = whyNot(allow, address) === undefined;
          for (const spelled of spellings(address).slice(1)) {
            // The last two have an IPv6 address of their own besides, which is public.
            const own = /^2001:/.test(spelled) && !allow.includes('public');
            assert.equal(whyNot(allow, spelled) === undefined, plain && !own, spelled);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('is as narrow as the setting says: networks, hosts and ports', async () => {
    const allow =
      '10.1.0.0/16:8000-8999, [fd00::/8]:443, fd12::5, Mirror.Example.org:80, *.images.example, 169.254.1.0/24';
    assert.equal(whyNot(allow, '10.1.2.3', 8000), undefined);
    assert.equal(whyNot(allow, '10.1.255.3', 8999), undefined);
    assert.match(
      whyNot(allow, '10.1.2.3', 9000) ?? '',
      /port 9000: it is a private address, and only 10\.1\.0\.0\/16:8000-8999/,
    );
    assert.match(whyNot(allow, '10.2.0.1', 8000) ?? '', /private/);
    assert.equal(whyNot(allow, 'fd00::1', 443), undefined);
    assert.match(whyNot(allow, 'fd00::1', 80) ?? '', /private/);
    assert.equal(whyNot(allow, 'fd12::5', 80), undefined);
    assert.equal(whyNot(allow, '169.254.1.7'), undefined);
    assert.match(whyNot(allow, '169.254.169.254') ?? '', /link-local/);
    const byName = async (host: string, port: number, address: string) => {
      const lookup = egress(allow, answering([address])).lookupFor({ scheme: 'http', host, port });
      return new Promise<string>((resolve) =>
        lookup(host, {}, (error, found) => resolve(error ? 'refused' : String(found))),
      );
    };
    assert.equal(await byName('mirror.example.org', 80, '8.8.8.8'), '8.8.8.8');
    assert.equal(await byName('MIRROR.example.org.', 80, '127.0.0.1'), '127.0.0.1');
    assert.equal(await byName('mirror.example.org', 443, '8.8.8.8'), 'refused');
    assert.equal(await byName('mirror.example.org', 80, '169.254.169.254'), 'refused');
    assert.equal(await byName('a.images.example', 443, '10.9.9.9'), '10.9.9.9');
    assert.equal(await byName('images.example', 443, '10.9.9.9'), 'refused');
    assert.equal(await byName('badimages.example', 443, '10.9.9.9'), 'refused');
  });

  it('is refused where it can not be understood', () => {
    for (const bad of [
      '10.0.0.0/33',
      '10.0.0.256',
      'public:0',
      'public:70000',
      'public:9-1',
      'a b',
      'http://x',
      '[x]:1',
      '10.0.0/8',
      '::/129',
      '-x',
    ])
      assert.throws(() => parseEgressRules(bad), /is none of public, private, loopback/, bad);
    assert.deepEqual(parseEgressRules(' , '), []);
  });
});

describe('a download', () => {
  it('takes no address that is not allowed, however it is written, and connects to nothing', async () => {
    const server = await serve();
    const port = Number(new URL(server.url('/')).port);
    const hosts = ['127.0.0.1', '[::ffff:127.0.0.1]', 'localhost', ...oddHosts('127.0.0.1'), '0'];
    for (const host of hosts)
      await refused(`http://${host}:${port}/image`, egress('public,private'), /must not be connected to/);
    assert.equal(server.requests.length, 0);
    const receiver = await Receiver.open(1);
    await receiver.check(
      await receiver.take(server.url('/image'), { http: { egress: egress(DEFAULT) } }),
      CONTENT,
    );
  });

  it('follows no redirect to where it may not go', async () => {
    const target = await serve();
    const { port } = new URL(target.url('/'));
    const server = await serve({ fault: () => ({ redirectTo: target.url('/image') }) });
    const only = new URL(server.url('/')).port;
    await refused(
      server.url('/image'),
      egress(`127.0.0.1:${only}`),
      new RegExp(`127\\.0\\.0\\.1 must not be connected to at port ${port}`),
    );
    assert.equal(target.requests.length, 0);
    assert.equal(server.requests.length, 1);
    for (const to of [
      'http://169.254.169.254/latest/meta-data/',
      'http://[::ffff:a9fe:a9fe]/',
      'http://2852039166/',
    ]) {
      const away = await serve({ fault: () => ({ redirectTo: to }) });
      await refused(away.url('/image'), egress(DEFAULT), /link-local/);
    }
  });

  it('is not led elsewhere by a name that means another address the second time', async () => {
    const server = await serve();
    const { port } = new URL(server.url('/'));
    // Judged once as a public address and then connected to as another: there is no second question to answer.
    const rebinding = answering(['8.8.8.8'], ['127.0.0.1']);
    const policy = egress('public', rebinding);
    const lookup = policy.lookupFor({ scheme: 'http', host: 'rebinding.test', port: Number(port) });
    const found = await new Promise((resolve) =>
      lookup('rebinding.test', { all: true }, (_error, all) => resolve(all)),
    );
    assert.deepEqual(found, [{ address: '8.8.8.8', family: 4 }]);
    // The next connection asks anew, and its answer is judged anew.
    await refused(
      `http://rebinding.test:${port}/image`,
      policy,
      /rebinding\.test \(127\.0\.0\.1\) must not be connected to/,
    );
    assert.deepEqual(rebinding.asked, ['rebinding.test', 'rebinding.test']);
    assert.equal(server.requests.length, 0);
    // Of several addresses only those that are allowed are tried.
    const receiver = await Receiver.open(1);
    const both = egress('127.0.0.0/8', answering(['169.254.169.254', '127.0.0.1']));
    await receiver.check(
      await receiver.take(`http://both.test:${port}/image`, { http: { egress: both } }),
      CONTENT,
    );
  });

  it('ends before a byte is sent where the connection goes elsewhere all the same', async () => {
    const server = await serve();
    const { port, hostname } = new URL(server.url('/'));
    const socket = (await import('node:net')).connect({ host: hostname, port: Number(port) });
    egress('public').guard(socket, { host: hostname, port: Number(port) });
    socket.write('GET /image HTTP/1.1\r\nHost: x\r\n\r\n');
    const [error] = await once(socket, 'error');
    assert.match((error as IngotError).details, /127\.0\.0\.1 must not be connected to/);
    assert.equal(server.requests.length, 0);
  });

  it("never goes to a port of the service itself, under none of this machine's addresses", async () => {
    const server = await serve();
    const port = Number(new URL(server.url('/')).port);
    const policy = egress(`${DEFAULT},0.0.0.0/0,127.0.0.1:${port}`);
    policy.keepFrom(port);
    await refused(server.url('/image'), policy, /it is this service's own/);
    const own = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
    for (const { address } of own)
      assert.throws(
        () => policy.lookupFor({ scheme: 'http', host: address, port }),
        { code: 'ID.1002' },
        address,
      );
    assert.equal(server.requests.length, 0);
  });
});

describe("other clients' connections", () => {
  it('are held to the same by an agent, and by a socket', async () => {
    const server = await serve();
    const url = server.url('/image');
    const { port, hostname } = new URL(url);
    const get = (policy: Egress, target = url) =>
      new Promise<number>((resolve, reject) => {
        const request = http.get(target, { agent: policy.agents().http }, (response) => {
          response.resume();
          resolve(response.statusCode ?? 0);
        });
        request.on('error', reject);
      });
    assert.equal(await get(egress(DEFAULT)), 200);
    await assert.rejects(get(egress('public')), { code: 'ID.1002' });
    await assert.rejects(get(egress('public'), `http://localhost:${port}/image`), { code: 'ID.1002' });
    const socket = egress(DEFAULT).connect({ scheme: 'sftp', host: hostname, port: Number(port) });
    await once(socket, 'connect');
    socket.destroy();
    assert.throws(() => egress('public').connect({ scheme: 'sftp', host: hostname, port: Number(port) }), {
      code: 'ID.1002',
    });
    assert.equal(server.requests.length, 1);
  });
});

describe('by which schemes the service may connect', () => {
  const by = (schemes: string) =>
    new Egress({ rules: parseEgressRules(DEFAULT), schemes: parseEgressSchemes(schemes) });

  it('is what the setting says, and all four by default', () => {
    assert.deepEqual(parseEgressSchemes(' HTTPS, sftp '), ['https', 'sftp']);
    for (const bad of ['https,gopher', 'file', 'http:', 'https://', 'http sftp'])
      assert.throws(() => parseEgressSchemes(bad), /^Error: '.*' is none of http, https, ftp, sftp$/, bad);
    for (const none of ['', ' , '])
      assert.throws(() => parseEgressSchemes(none), /^Error: one or more of http, https, ftp, sftp/);
    const target = { host: '8.8.8.8', port: 21 };
    for (const scheme of ['http', 'https', 'ftp', 'sftp'] as const) {
      egress(DEFAULT).lookupFor({ scheme, ...target });
      by(scheme).lookupFor({ scheme, ...target });
    }
    assert.throws(() => by('http,https').lookupFor({ scheme: 'ftp', ...target }), {
      code: 'ID.1002',
      message:
        "8.8.8.8 must not be connected to by the scheme 'ftp', which is not among those that may be used (the setting egress.schemes: http, https)",
    });
  });

  it('holds for every kind of source, and nothing is connected to', async () => {
    let connections = 0;
    const listener = createServer(() => connections++).listen(0, '127.0.0.1');
    await once(listener, 'listening');
    after(() => listener.close());
    const host = `127.0.0.1:${(listener.address() as AddressInfo).port}`;
    await refused(`http://${host}/image`, by('https,ftp,sftp'), /by the scheme 'http', which/);
    await refused(`https://${host}/image`, by('http,ftp,sftp'), /by the scheme 'https', which/);
    for (const [source, others] of [
      [
        ftpSource(new URL(`ftp://${host}/image`), { stallTimeout: 5000, egress: by('http,https,sftp') }),
        'ftp',
      ],
      [
        sftpSource(new URL(`sftp://x:y@${host}/image`), { stallTimeout: 5000, egress: by('http,https,ftp') }),
        'sftp',
      ],
    ] as const) {
      await assert.rejects(source.open({ offset: 0, signal: new AbortController().signal }), {
        code: 'ID.1002',
        message: new RegExp(`^127\\.0\\.0\\.1 must not be connected to by the scheme '${others}', which`),
      });
    }
    assert.equal(connections, 0);
  });

  it('holds for each redirect', async () => {
    const server = await serve({ fault: () => ({ redirectTo: 'https://127.0.0.1:9/image' }) });
    await refused(
      server.url('/image'),
      by('http'),
      /^http:\/\/127\.0\.0\.1:\d+\/image redirects to https:\/\/127\.0\.0\.1:9\/image by the scheme 'https', which is not among/,
    );
    assert.equal(server.requests.length, 1);
  });

  it('holds for the agents of other clients, and for sockets', async () => {
    const server = await serve();
    const { hostname, port } = new URL(server.url('/'));
    const { http: agent } = by('https').agents();
    const request = http.get(server.url('/image'), { agent });
    const [error] = await once(request, 'error');
    assert.match((error as IngotError).details, /by the scheme 'http', which/);
    assert.throws(() => by('https').connect({ scheme: 'sftp', host: hostname, port: Number(port) }), {
      code: 'ID.1002',
    });
    assert.equal(server.requests.length, 0);
  });
});
