/** What src/backup-storage/driver.ts promises, shown for a driver with the real thing behind it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { BackupStorageDriver, StoreObject } from '../../src/backup-storage/driver.ts';
import { IngotError } from '../../src/kernel/errors.ts';

const MIB = 1024 * 1024;

export interface StoreUnderTest {
  driver: BackupStorageDriver;
  /** How another process opens the same store: `factory(options)` as exported by the module at this URL. */
  elsewhere: { module: string; factory: string; options: unknown };
  /** Bytes that the store really uses for an object; absent where zeros take room like other bytes. */
  allocated?: (path: string) => Promise<number>;
}

export interface StoreMaker {
  /** A new, empty store; it cleans up after the test file. */
  make(): Promise<StoreUnderTest>;
  /** One that has room for about so many bytes, or the reason why there can be none here. */
  makeSmall(bytes: number): Promise<StoreUnderTest | string>;
}

export function backupStorageDriverContract(name: string, maker: StoreMaker): void {
  describe(`${name} fulfils the backup storage contract`, { concurrency: true }, () => {
    const test = (title: string, body: (store: StoreUnderTest, t: TestContext) => Promise<void>) =>
      it(title, async (t) => {
        const store = await maker.make();
        await body(store, t);
        await store.driver.close();
      });

    test('gives back what was written, and its size', async ({ driver }) => {
      const content = randomBytes(5 * MIB + 4711);
      await put(driver, 'images/one/image', content, 300_000);
      assert.equal(sha256(await get(driver.read('images/one/image'))), sha256(content));
      assert.equal(await driver.size('images/one/image'), content.length);
      assert.ok(driver.location('images/one/image').includes('images/one/image'));
    });

    test('keeps the order of writes that are under way at once', async ({ driver }) => {
      const content = randomBytes(6 * MIB + 1);
      const writer = await driver.create('ordered');
      const sizes = [4096, 1, 65_536, 1_000_003, 12, MIB];
      const writes: Promise<void>[] = [];
      for (let at = 0, i = 0; at < content.length; i++) {
        const end = at + (sizes[i % sizes.length] as number);
        writes.push(writer.write(content.subarray(at, end)));
        at = end;
      }
      await Promise.all(writes);
      await writer.commit();
      assert.equal(sha256(await get(driver.read('ordered'))), sha256(content));
    });

    test('keeps zeros wherever they are', async ({ driver }) => {
      const content = randomBytes(4 * MIB + 100);
      for (const [start, end] of [
        [0, 70_000],
        [200_000, 1_500_000],
        [3 * MIB + 5, 4 * MIB + 100],
      ] as const) {
        content.fill(0, start, end);
      }
      await put(driver, 'holes', content, 777_777);
      assert.deepEqual(await get(driver.read('holes')), content);
    });

    test('stores an empty object', async ({ driver }) => {
      await put(driver, 'empty', new Uint8Array(0));
      assert.equal(await driver.size('empty'), 0);
      assert.equal((await get(driver.read('empty'))).length, 0);
    });

    test('reads ranges', async ({ driver }) => {
      const content = randomBytes(700_000);
      await put(driver, 'ranged', content);
      for (const [start, end] of [
        [0, 1],
        [1, 1],
        [1000, 600_001],
        [699_999, 700_000],
        [600_000, 900_000],
      ] as const) {
        assert.deepEqual(await get(driver.read('ranged', { start, end })), content.subarray(start, end));
      }
      assert.deepEqual(await get(driver.read('ranged', { start: 300_000 })), content.subarray(300_000));
    });

    test('shows nothing before the commit, everything after it', async ({ driver }) => {
      const content = randomBytes(MIB);
      const writer = await driver.create('hidden/object', { expectedSize: content.length });
      await writer.write(content);
      await writer.flush();
      assert.equal(await driver.size('hidden/object'), undefined);
      await assert.rejects(get(driver.read('hidden/object')), IngotError);
      assert.deepEqual(await paths(driver, ''), ['hidden/object (partial)']);
      await writer.commit();
      assert.deepEqual(await paths(driver, ''), ['hidden/object']);
    });

    test('replaces an object by commit, and not before', async ({ driver }) => {
      const [before, after] = [randomBytes(200_000), randomBytes(100_000)];
      await put(driver, 'replaced', before);
      const writer = await driver.create('replaced');
      await writer.write(after);
      assert.deepEqual(await get(driver.read('replaced')), before);
      await writer.commit();
      assert.deepEqual(await get(driver.read('replaced')), after);
    });

    test('leaves nothing after an abort', async ({ driver }) => {
      const writer = await driver.create('given/up');
      const underWay = writer.write(randomBytes(MIB));
      await writer.abort();
      await underWay.catch(() => {});
      assert.deepEqual(await paths(driver, ''), []);
      await assert.rejects(driver.create('given/up', { resumeAt: 1 }), isFinal);
    });

    test('goes on after an abort that keeps, cutting off what is too much', async ({ driver }) => {
      const content = randomBytes(3 * MIB);
      const first = await driver.create('continued');
      await first.write(content.subarray(0, 2 * MIB));
      await first.flush();
      await first.abort({ keep: true });
      const resumeAt = MIB + 77;
      assert.deepEqual(
        await get(driver.readPartial('continued', { end: resumeAt })),
        content.subarray(0, resumeAt),
      );
      const second = await driver.create('continued', { resumeAt });
      assert.equal(second.offset, resumeAt);
      await second.write(content.subarray(resumeAt, 2 * MIB + 1));
      await second.write(content.subarray(2 * MIB + 1));
      await second.commit();
      assert.deepEqual(await get(driver.read('continued')), content);
    });

    test('goes on behind zeros that were flushed', async ({ driver }) => {
      const first = await driver.create('zeros');
      await first.write(new Uint8Array(2 * MIB));
      await first.flush();
      await first.abort({ keep: true });
      const second = await driver.create('zeros', { resumeAt: 2 * MIB });
      await second.write(Uint8Array.of(1));
      await second.commit();
      assert.deepEqual(await get(driver.read('zeros')), Buffer.concat([Buffer.alloc(2 * MIB), Buffer.of(1)]));
    });

    test('refuses to go on where fewer bytes are there', async ({ driver }) => {
      const writer = await driver.create('short');
      await writer.write(randomBytes(1000));
      await writer.flush();
      await writer.abort({ keep: true });
      await assert.rejects(driver.create('short', { resumeAt: 1001 }), isFinal);
      await driver.remove('short');
    });

    test('begins anew where nothing is to be continued', async ({ driver }) => {
      const writer = await driver.create('anew');
      await writer.write(randomBytes(MIB));
      await writer.abort({ keep: true });
      await put(driver, 'anew', Uint8Array.of(1, 2, 3));
      assert.deepEqual(await get(driver.read('anew')), Buffer.of(1, 2, 3));
      assert.deepEqual(await paths(driver, ''), ['anew']);
    });

    test('removes objects and parts; what is absent counts as removed', async ({ driver }) => {
      await put(driver, 'a/b/c', randomBytes(10));
      const writer = await driver.create('a/b/d');
      await writer.write(randomBytes(10));
      await writer.abort({ keep: true });
      for (const path of ['a/b/c', 'a/b/d', 'a/b/c', 'never/there']) await driver.remove(path);
      assert.deepEqual(await paths(driver, ''), []);
      await put(driver, 'a/b/c', randomBytes(10));
      assert.deepEqual(await paths(driver, ''), ['a/b/c']);
    });

    test('lists what begins with the prefix', async ({ driver }) => {
      for (const path of ['images/aa/1', 'images/aa/2', 'images/ab/1', 'other'])
        await put(driver, path, randomBytes(9));
      const writer = await driver.create('images/aa/3');
      await writer.abort({ keep: true });
      assert.deepEqual(await paths(driver, 'images/aa/'), [
        'images/aa/1',
        'images/aa/2',
        'images/aa/3 (partial)',
      ]);
      assert.deepEqual(await paths(driver, 'images/a'), [
        'images/aa/1',
        'images/aa/2',
        'images/aa/3 (partial)',
        'images/ab/1',
      ]);
      assert.deepEqual(await paths(driver, 'none'), []);
      assert.equal((await paths(driver, '')).length, 5);
    });

    test('takes spaces and letters of any script in paths', async ({ driver }) => {
      const content = randomBytes(5000);
      const path = 'with space/黄金镜像 ü/%2e+&?#';
      await put(driver, path, content);
      assert.deepEqual(await get(driver.read(path)), content);
      assert.deepEqual(await paths(driver, 'with space/黄'), [path]);
      await driver.remove(path);
      assert.deepEqual(await paths(driver, ''), []);
    });

    test('lets no path out of the store', async ({ driver }) => {
      for (const path of ['../out', 'a/../../out', '/etc/passwd', '', 'a//b', './a', 'a/.', 'a\0b', 'a/']) {
        await assert.rejects(driver.create(path), IngotError, JSON.stringify(path));
        await assert.rejects(driver.remove(path), IngotError, JSON.stringify(path));
      }
    });

    test('answers a ping and tells its capacity', async ({ driver }) => {
      await driver.ping();
      const { total, available } = await driver.capacity();
      assert.ok(total > 0 && available > 0 && available <= total);
    });

    test('writes many objects at once', async ({ driver }) => {
      const contents = Array.from({ length: 12 }, () => randomBytes(400_000));
      await Promise.all(contents.map((content, i) => put(driver, `many/${i}`, content, 50_000)));
      for (const [i, content] of contents.entries()) {
        assert.equal(sha256(await get(driver.read(`many/${i}`))), sha256(content));
      }
    });

    test('a writer that is killed leaves a part that can be seen, continued or removed', async (store) => {
      const { driver } = store;
      for (const path of ['killed/early', 'killed/late']) {
        const flushed = await killedWriter(store, path, path === 'killed/early' ? 1 : 6);
        assert.equal(await driver.size(path), undefined);
        assert.deepEqual(await paths(driver, path), [`${path} (partial)`]);
        const part = await get(driver.readPartial(path, { end: flushed }));
        assert.equal(part.length, flushed);
        assert.ok(part.every((byte, index) => byte === 1 + (Math.floor(index / MIB) % 250)));
      }
      const writer = await driver.create('killed/late', { resumeAt: MIB });
      await writer.commit();
      assert.equal(await driver.size('killed/late'), MIB);
      await driver.remove('killed/early');
      assert.deepEqual(await paths(driver, ''), ['killed/late']);
    });

    test('a writer that is killed while it commits leaves all of the object or nothing', async (store) => {
      const { driver } = store;
      // From the first instant of it to beyond its end, however long that takes here.
      const whole = await killedCommit(store, 'whole', Number.POSITIVE_INFINITY);
      for (const [i, share] of [0, 0.3, 0.6, 0.9].entries()) {
        const path = `killed/${i}`;
        await killedCommit(store, path, whole * share);
        const size = await driver.size(path);
        if (size === undefined) {
          assert.deepEqual(await paths(driver, path), [`${path} (partial)`]);
        } else {
          const content = await get(driver.read(path));
          assert.equal(content.length, 4 * MIB);
          assert.ok(content.every((byte, index) => byte === 1 + Math.floor(index / MIB)));
        }
        await driver.remove(path);
      }
      assert.deepEqual(await paths(driver, ''), ['whole']);
    });

    test('lets one be removed while another beside it is given up', async ({ driver }) => {
      for (let round = 0; round < 8; round++) {
        await put(driver, `near/${round}/a`, randomBytes(10));
        const writer = await driver.create(`near/${round}/b`);
        await Promise.all([driver.remove(`near/${round}/a`), writer.abort()]);
      }
      assert.deepEqual(await paths(driver, ''), []);
    });

    test('keeps an object of 5 GiB of zeros small, where it can', async ({ driver, allocated }, t) => {
      if (!allocated) return t.skip('this store keeps zeros like other bytes');
      const [head, chunk, chunks] = [randomBytes(MIB), new Uint8Array(MIB), 5 * 1024];
      const writer = await driver.create('sparse');
      await writer.write(head);
      for (let i = 1; i < chunks; i++) {
        await writer.write(chunk);
        if (i % 256 === 0) await writer.flush();
      }
      await writer.commit();
      assert.equal(await driver.size('sparse'), 5 * 1024 * MIB);
      assert.ok((await allocated('sparse')) < 8 * MIB, `${await allocated('sparse')} bytes are used`);
      assert.deepEqual(await get(driver.read('sparse', { end: MIB })), head);
      const last = await get(driver.read('sparse', { start: 5 * 1024 * MIB - 100 }));
      assert.deepEqual(last, Buffer.alloc(100));
    });

    it('says that it is full, and takes bytes again once there is room', async (t) => {
      const store = await maker.makeSmall(8 * MIB);
      if (typeof store === 'string') return t.skip(store);
      const { driver } = store;
      await put(driver, 'first', randomBytes(3 * MIB));
      const writer = await driver.create('second');
      const filling = async () => {
        for (let i = 0; i < 20; i++) await writer.write(randomBytes(MIB));
        await writer.commit();
      };
      await assert.rejects(filling, (error) => isFull(error));
      await assert.rejects(writer.flush(), (error) => isFull(error));
      await assert.rejects(writer.commit(), (error) => isFull(error));
      await writer.abort();
      assert.deepEqual(await paths(driver, ''), ['first']);
      await driver.remove('first');
      await put(driver, 'second', randomBytes(5 * MIB));
      await driver.close();
    });
  });
}

async function put(
  driver: BackupStorageDriver,
  path: string,
  content: Uint8Array,
  step = MIB,
): Promise<void> {
  const writer = await driver.create(path, { expectedSize: content.length });
  for (let at = 0; at < content.length; at += step) await writer.write(content.subarray(at, at + step));
  await writer.commit();
}

async function get(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of source) pieces.push(piece);
  return Buffer.concat(pieces);
}

async function paths(driver: BackupStorageDriver, prefix: string): Promise<string[]> {
  const found: StoreObject[] = [];
  for await (const object of driver.list(prefix)) found.push(object);
  return found.map(({ path, partial }) => (partial ? `${path} (partial)` : path)).sort();
}

/** Has another process write 1 MiB after the other, and kills it after so many; fulfilled with the bytes it had flushed. */
async function killedWriter(store: StoreUnderTest, path: string, chunks: number): Promise<number> {
  const script = fileURLToPath(new URL('./doomed-writer.ts', import.meta.url));
  const { module, factory, options } = store.elsewhere;
  const child = spawn(process.execPath, [script, module, factory, JSON.stringify(options), path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let flushed = 0;
  let heard = '';
  for await (const text of child.stdout) {
    heard += text;
    flushed = Number(heard.split('\n').at(-2) ?? 0);
    if (flushed >= chunks * MIB) child.kill('SIGKILL');
  }
  assert.ok(flushed > 0, 'the writer told of nothing that it had flushed');
  return flushed;
}

/** Has another process make an object visible, and kills it so many milliseconds after it begins to; fulfilled with how long it took. */
async function killedCommit(store: StoreUnderTest, path: string, after: number): Promise<number> {
  const script = fileURLToPath(new URL('./doomed-writer.ts', import.meta.url));
  const { module, factory, options } = store.elsewhere;
  const child = spawn(process.execPath, [script, module, factory, JSON.stringify(options), path, '4'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let began = 0;
  let ended = 0;
  for await (const text of child.stdout.setEncoding('utf8')) {
    if (String(text).includes(`${4 * MIB}`)) ended = performance.now();
    if (began > 0) continue;
    began = performance.now();
    if (Number.isFinite(after)) setTimeout(() => child.kill('SIGKILL'), after);
  }
  assert.ok(began > 0, 'the writer told of nothing');
  return ended - began;
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function isFinal(error: unknown): boolean {
  return error instanceof IngotError && !error.retryable;
}

function isFull(error: unknown): boolean {
  return error instanceof IngotError && error.code === 'BS.1006' && error.retryable;
}
