/** What an S3 server, the way to it and a death in between can do to the driver. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { after, before, describe, it, type TestContext } from 'node:test';
import fc from 'fast-check';
import type { BackupStorageDriver } from '../../src/backup-storage/driver.ts';
import { S3Bucket } from '../../src/backup-storage/s3/bucket.ts';
import type { S3Address } from '../../src/backup-storage/s3/client.ts';
import { s3BackupStorage } from '../../src/backup-storage/s3/driver.ts';
import { Keys } from '../../src/backup-storage/s3/object-key.ts';
import { partBytes } from '../../src/backup-storage/s3/part-size.ts';
import { IngotError } from '../../src/kernel/errors.ts';
import { newUuid } from '../../src/kernel/uuid.ts';
import { type CuttingProxy, startCuttingProxy } from '../support/cutting-proxy.ts';
import { bucketOf } from '../support/s3-bucket.ts';
import { type Swift, startSwift } from '../support/swift.ts';

const MIB = 1024 * 1024;
const CONTENT = randomBytes(20 * MIB);

let swift: Swift;
let address: S3Address;
before(async () => {
  swift = await startSwift();
  address = await bucketOf(swift);
});
after(() => swift.stop());

interface Store {
  driver: BackupStorageDriver;
  bucket: S3Bucket;
  keys: Keys;
  /** The same storage by another way. */
  through(port: number, stallTimeout?: number): BackupStorageDriver;
}

async function openStore(t: TestContext): Promise<Store> {
  const uuid = newUuid();
  const options = { ...address, uuid, prefix: uuid };
  const opened: { close(): Promise<void> | void }[] = [];
  const open = (more: Partial<S3Address>) => {
    const driver = s3BackupStorage({ ...options, ...more });
    opened.push(driver);
    return driver;
  };
  const driver = open({});
  await driver.initialise();
  const bucket = new S3Bucket(options);
  opened.push(bucket);
  t.after(async () => {
    for (const each of opened) await each.close();
  });
  return {
    driver,
    bucket,
    keys: new Keys(uuid),
    through: (port, stallTimeout = 60_000) => open({ endpoint: `http://127.0.0.1:${port}`, stallTimeout }),
  };
}

async function proxied(t: TestContext): Promise<CuttingProxy> {
  const proxy = await startCuttingProxy(swift.port);
  t.after(() => proxy.close());
  return proxy;
}

async function put(driver: BackupStorageDriver, path: string, content: Uint8Array): Promise<void> {
  const writer = await driver.create(path, { expectedSize: content.length });
  await writer.write(content);
  await writer.commit();
}

async function get(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(source));
}

const listed = async (driver: BackupStorageDriver) => Array.fromAsync(driver.list(''));

describe('the way to an S3 server', () => {
  it('is cut while an object is read: it goes on where it was', async (t) => {
    const { driver, through } = await openStore(t);
    await put(driver, 'image', CONTENT);
    const proxy = await proxied(t);
    const pieces: Uint8Array[] = [];
    let cuts = 0;
    let length = 0;
    for await (const piece of through(proxy.port).read('image', { start: 77 })) {
      pieces.push(piece);
      length += piece.length;
      if (length < (cuts + 1) * 4 * MIB) continue;
      cuts++;
      proxy.cut();
    }
    assert.ok(cuts >= 4);
    assert.ok(Buffer.concat(pieces).equals(CONTENT.subarray(77)));
  });

  it('is cut while an object is written: its part is sent again', async (t) => {
    const { driver, through } = await openStore(t);
    const proxy = await proxied(t);
    const writer = await through(proxy.port).create('image');
    const write = writer.write(CONTENT);
    for (const bytes of [2 * MIB, 12 * MIB]) {
      while (proxy.received() < bytes) await new Promise((resolve) => setImmediate(resolve));
      proxy.cut();
    }
    await write;
    await writer.commit();
    assert.ok((await get(driver.read('image'))).equals(CONTENT));
  });

  it('is silent: nothing waits for ever, and what is said can be understood', async (t) => {
    const { driver, through } = await openStore(t);
    await put(driver, 'image', CONTENT);
    const proxy = await startFallingSilent(t, swift.port);
    const patient = through(proxy.port, 500);
    const writer = await patient.create('other');
    proxy.silent(true);
    const silent = (error: unknown) =>
      error instanceof IngotError && error.retryable && /says nothing|can't be reached/.test(error.details);
    await Promise.all([
      assert.rejects(patient.ping(), silent, 'ping'),
      assert.rejects(get(patient.read('image')), silent, 'read'),
      assert.rejects(patient.create('third'), silent, 'create'),
      assert.rejects(
        writer.write(CONTENT).then(() => writer.flush()),
        silent,
      ),
    ]);
    proxy.silent(false);
    await writer.abort();
    await patient.ping();
    assert.deepEqual(
      (await listed(driver)).map(({ path }) => path),
      ['image'],
    );
  });

  it('damages a byte: the server takes no such part, and gets it again', async (t) => {
    const { driver, through } = await openStore(t);
    const damaging = await startDamagingProxy(t, swift.port, 3 * MIB);
    const writer = await through(damaging.port).create('image');
    await writer.write(CONTENT);
    await writer.commit();
    assert.equal(damaging.damaged(), 1);
    assert.ok((await get(driver.read('image'))).equals(CONTENT));
  });
});

describe('an S3 backup storage after a death', () => {
  const half = 9 * MIB;

  /** As a process leaves it that is killed after a flush. */
  async function dead({ driver }: Store): Promise<void> {
    const writer = await driver.create('image');
    await writer.write(CONTENT.subarray(0, half));
    await writer.flush();
    await writer.abort({ keep: true });
  }

  async function finish({ driver }: Store): Promise<void> {
    assert.equal(await driver.size('image'), undefined);
    assert.ok((await get(driver.readPartial('image', { end: half }))).equals(CONTENT.subarray(0, half)));
    await assert.rejects(get(driver.read('image')), /does not exist/);
    const writer = await driver.create('image', { resumeAt: half });
    await writer.write(CONTENT.subarray(half));
    await writer.commit();
    assert.deepEqual(await listed(driver), [{ path: 'image', size: CONTENT.length, partial: false }]);
    assert.ok((await get(driver.read('image'))).equals(CONTENT));
  }

  /** What lies in the storage when it comes in each of the steps from the dead upload to the one that goes on. */
  const states: Record<string, (store: Store) => Promise<void>> = {
    'while it wrote': dead,
    'between the flag and the completion of the upload': async (store) => {
      await dead(store);
      await store.bucket.put(store.keys.uncommitted('image'), Buffer.from('{}'));
    },
    'when what it wrote had been made readable': async (store) => {
      await dead(store);
      await get(store.driver.readPartial('image', { end: 1 }));
    },
    'while the server copied into a new upload': async (store) => {
      await dead(store);
      await get(store.driver.readPartial('image', { end: 1 }));
      const key = store.keys.of('image');
      const upload = { key, id: await store.bucket.createUpload(key, 'tag') };
      await store.bucket.uploadPart(upload, 1, randomBytes(5 * MIB), new AbortController().signal);
    },
    'when the object had gone, and its flag had not': async (store) => {
      await dead(store);
      await get(store.driver.readPartial('image', { end: 1 }));
      const writer = await store.driver.create('image', { resumeAt: half });
      await writer.write(CONTENT.subarray(half, half + 1));
      await writer.flush();
      await writer.abort({ keep: true });
      await store.bucket.put(store.keys.uncommitted('image'), Buffer.from('{}'));
    },
  };

  for (const [when, make] of Object.entries(states)) {
    it(`goes on: ${when}`, async (t) => {
      const store = await openStore(t);
      await make(store);
      const found = await listed(store.driver);
      assert.deepEqual(
        found.map(({ path, partial }) => ({ path, partial })),
        [{ path: 'image', partial: true }],
      );
      await finish(store);
    });

    it(`removes all of it: ${when}`, async (t) => {
      const store = await openStore(t);
      await make(store);
      await store.driver.remove('image');
      const { driver, bucket, keys } = store;
      assert.deepEqual(await listed(driver), []);
      assert.deepEqual(
        (await Array.fromAsync(bucket.objects(keys.root))).map(({ key }) => key),
        [keys.marker],
      );
      assert.deepEqual(await Array.fromAsync(bucket.uploads(keys.root)), []);
    });
  }

  it('commits without moving a byte where only the commit is missing', async (t) => {
    const store = await openStore(t);
    await dead(store);
    const writer = await store.driver.create('image', { resumeAt: half, expectedSize: half });
    assert.deepEqual(await Array.fromAsync(store.bucket.uploads(store.keys.root)), []);
    await writer.commit();
    assert.deepEqual(await listed(store.driver), [{ path: 'image', size: half, partial: false }]);
  });

  it('leaves to another process what that goes on with', async (t) => {
    const store = await openStore(t);
    const zombie = await store.driver.create('image');
    await zombie.write(CONTENT.subarray(0, half));
    await zombie.flush();
    assert.equal((await get(store.driver.readPartial('image'))).length, half);
    const heir = await store.driver.create('image', { resumeAt: half });
    await heir.write(CONTENT.subarray(half));
    await assert.rejects(async () => {
      await zombie.write(CONTENT.subarray(half));
      await zombie.flush();
    }, IngotError);
    await zombie.abort();
    await heir.commit();
    assert.ok((await get(store.driver.read('image'))).equals(CONTENT));
  });

  it('asks once what is there, however often it is read, and again when it has changed', async (t) => {
    const store = await openStore(t);
    await dead(store);
    const head = t.mock.method(S3Bucket.prototype, 'head');
    const read = (start: number) => get(store.driver.readPartial('image', { start, end: start + 100 }));
    assert.ok((await read(0)).equals(CONTENT.subarray(0, 100)));
    const asked = head.mock.callCount();
    for (let start = 0; start < half; start += MIB) {
      assert.ok((await read(start)).equals(CONTENT.subarray(start, start + 100)));
    }
    assert.equal((await read(half)).length, 0);
    assert.equal(head.mock.callCount(), asked);
    // As another process does.
    const heir = store.through(swift.port);
    const writer = await heir.create('image', { resumeAt: half });
    await writer.write(CONTENT.subarray(half, half + MIB));
    await writer.flush();
    await writer.abort({ keep: true });
    assert.ok((await read(half)).equals(CONTENT.subarray(half, half + 100)));
    assert.ok(head.mock.callCount() > asked);
    await heir.remove('image');
    await assert.rejects(read(0), /does not exist/);
  });

  it('begins anew where a committed object would have to give way', async (t) => {
    const store = await openStore(t);
    await put(store.driver, 'image', Buffer.from('before'));
    await dead(store);
    await assert.rejects(get(store.driver.readPartial('image')), /does not exist/);
    await assert.rejects(store.driver.create('image', { resumeAt: 1 }), /can not be continued/);
    assert.equal(String(await get(store.driver.read('image'))), 'before');
    await put(store.driver, 'image', Buffer.from('after'));
    assert.deepEqual(await listed(store.driver), [{ path: 'image', size: 5, partial: false }]);
  });
});

describe('the parts of an upload', () => {
  const LARGEST_PART = 5 * 1024 * MIB;
  const LARGEST_OBJECT = 5 * 1024 * 1024 * MIB;
  const sum = (parts: number, expected: number | undefined) =>
    Array.from({ length: parts }, (_, index) => partBytes(index + 1, expected)).reduce((a, b) => a + b);

  it('are 10,000 at the most, none larger than S3 takes', () => {
    assert.ok(sum(10_000, undefined) >= LARGEST_OBJECT);
    assert.ok(partBytes(10_000, undefined) <= LARGEST_PART);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: LARGEST_OBJECT / MIB }), (mebibytes) => {
        const expected = mebibytes * MIB;
        assert.ok(sum(9000, expected) >= expected);
        assert.ok(partBytes(9000, expected) <= 600 * MIB);
      }),
      { numRuns: 50 },
    );
  });

  it('grow when more comes than was said', () => {
    assert.ok(sum(10_000, 100 * 1024 * MIB) >= 8 * 100 * 1024 * MIB);
  });
});

/** Passes connections on, and changes one bit of what the client sends, so many bytes from the beginning, once. */
async function startDamagingProxy(t: TestContext, target: number, after: number) {
  let damaged = 0;
  const server = createServer((client) => {
    const upstream = connect(target, '127.0.0.1');
    let seen = 0;
    client.on('data', (bytes: Buffer) => {
      if (damaged === 0 && seen + bytes.length > after) {
        const at = bytes.length - 1;
        bytes[at] = (bytes[at] ?? 0) ^ 1;
        damaged++;
      }
      seen += bytes.length;
      upstream.write(bytes);
    });
    upstream.on('data', (bytes) => client.write(bytes));
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      one.on('error', () => other.destroy()).on('close', () => other.destroy());
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return { port: (server.address() as AddressInfo).port, damaged: () => damaged };
}

/** Passes connections on; while silent, it takes them and reads nothing, and cuts those that stood. */
async function startFallingSilent(t: TestContext, target: number) {
  const sockets = new Set<Socket>();
  let isSilent = false;
  const server = createServer({ pauseOnConnect: true }, (client) => {
    sockets.add(client);
    client.on('error', () => {}).on('close', () => sockets.delete(client));
    if (isSilent) return;
    const upstream = connect(target, '127.0.0.1');
    upstream.on('error', () => {}).on('close', () => client.destroy());
    client.on('close', () => upstream.destroy());
    client.pipe(upstream).pipe(client);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  t.after(() => {
    cut();
    server.close();
  });
  return {
    port: (server.address() as AddressInfo).port,
    silent(on: boolean) {
      isSilent = on;
      cut();
    },
  };
}
