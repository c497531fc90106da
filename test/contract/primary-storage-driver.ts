/** What src/primary-storage/driver.ts promises, shown for a driver with the real thing behind it. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { open, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { IngotError } from '../../src/kernel/errors.ts';
import type { Base, PrimaryStorageDriver } from '../../src/primary-storage/driver.ts';
import { runProgram } from '../support/program.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

const MIB = 2 ** 20;
const SIZE = 16 * MIB;

export interface PrimaryStorageMaker {
  make(): Promise<PrimaryStorageDriver>;
  /** One that has room for about so many bytes, or the reason why there can be none here. */
  makeSmall(bytes: number): Promise<PrimaryStorageDriver | string>;
}

export function primaryStorageDriverContract(name: string, maker: PrimaryStorageMaker): void {
  describe(`${name} fulfils the primary storage contract`, { concurrency: 2 }, () => {
    const test = (title: string, body: (driver: PrimaryStorageDriver, t: TestContext) => Promise<void>) =>
      it(title, async (t) => {
        const driver = await maker.make();
        await body(driver, t);
        await driver.close();
      });

    test('answers a ping and tells its capacity', async (driver) => {
      await driver.ping();
      const { total, available } = await driver.capacity();
      assert.ok(total > 0 && available > 0 && available <= total);
    });

    test('keeps images of the cache, read-only, with a fingerprint that shows any writing', async (driver) => {
      const content = randomBytes(3 * MIB + 5);
      const path = 'imagecache/one/one.template';
      assert.equal(await driver.fingerprint(path), undefined);
      const writer = await driver.cacheImage(path);
      await writer.write(content);
      assert.equal(await driver.fingerprint(path), undefined);
      await writer.commit();
      assert.deepEqual(await get(driver.read(path)), content);
      const before = await driver.fingerprint(path);
      assert.equal(await driver.fingerprint(path), before);
      assert.ok(Math.abs((await driver.written(path)) - Date.now()) < 60_000);
      if (process.getuid?.() !== 0) await assert.rejects(open(driver.location(path), 'r+'));
      await damage(driver.location(path), 1000);
      assert.notEqual(await driver.fingerprint(path), before);
    });

    test('leaves nothing of an image that was given up', async (driver) => {
      const writer = await driver.cacheImage('imagecache/two/two.template');
      await writer.write(randomBytes(MIB));
      assert.deepEqual(await paths(driver), ['imagecache/two/two.template (partial)']);
      await writer.abort();
      assert.deepEqual(await paths(driver), []);
    });

    test('has an image linked, in the place of another too', async (driver, t) => {
      if (!driver.linkImage) return t.skip('this storage has no files that could be linked');
      const path = 'imagecache/three/three.template';
      const link = (content: string) => async (file: string) => {
        await writeFile(file, content);
        return true;
      };
      assert.equal(await driver.linkImage(path, async () => false), false);
      assert.equal(await driver.fingerprint(path), undefined);
      assert.equal(await driver.linkImage(path, link('first')), true);
      assert.equal(await driver.linkImage(path, link('second')), true);
      assert.equal(String(await get(driver.read(path))), 'second');
      assert.deepEqual(await paths(driver), [path]);
    });

    for (const format of ['qcow2', 'raw'] as const) {
      test(`clones a ${format} image thinly; writing to a clone changes nothing else`, async (driver) => {
        const base = await cached(driver, format);
        const digest = sha256(await get(driver.read(base.path)));
        await driver.clone(base, 'volumes/a/1.qcow2', SIZE);
        await driver.clone(base, 'volumes/b/1.qcow2', SIZE * 2);
        assert.ok(((await driver.usage('volumes/a/1.qcow2')) ?? 0) <= 200 * 1024);
        await same(driver, 'volumes/a/1.qcow2', base);
        await write(driver, 'volumes/a/1.qcow2', 'write -P 1 0 1M', 'write -P 2 15M 1M');
        await write(driver, 'volumes/b/1.qcow2', 'write -P 3 31M 1M');
        await read(driver, 'volumes/b/1.qcow2', 'read -P 90 0 300k', 'read -P 0 16M 15M', 'read -P 3 31M 1M');
        await read(driver, 'volumes/a/1.qcow2', 'read -P 1 0 1M', 'read -P 91 5M 300k', 'read -P 2 15M 1M');
        assert.equal(sha256(await get(driver.read(base.path))), digest);
        assert.equal(await driver.baseOf('volumes/a/1.qcow2'), base.path);
        await sound(driver);
      });
    }

    test('makes no disk a second time: a guest may have written to it', async (driver) => {
      const base = await cached(driver, 'qcow2');
      for (const make of [
        () => driver.clone(base, 'volumes/k/1.qcow2', SIZE),
        () => driver.blank('volumes/k/2.qcow2', SIZE),
      ]) {
        await make();
        const [path = ''] = (await paths(driver, 'volumes/k/')).slice(-1);
        await write(driver, path, 'write -P 7 3M 1M');
        await make();
        await read(driver, path, 'read -P 7 3M 1M');
      }
      await sound(driver);
    });

    test('makes blank disks, and makes them larger', async (driver) => {
      await driver.blank('volumes/c/1.qcow2', SIZE);
      assert.equal(await driver.baseOf('volumes/c/1.qcow2'), undefined);
      await write(driver, 'volumes/c/1.qcow2', 'write -P 4 15M 1M');
      await driver.resize('volumes/c/1.qcow2', SIZE * 4);
      await driver.resize('volumes/c/1.qcow2', SIZE * 4);
      await driver.resize('volumes/c/1.qcow2', SIZE);
      await read(driver, 'volumes/c/1.qcow2', 'read -P 0 0 15M', 'read -P 4 15M 1M', 'read -P 0 16M 48M');
      await driver.resize('volumes/c/1.qcow2', SIZE * 2, { shrink: true });
      await assert.rejects(read(driver, 'volumes/c/1.qcow2', 'read 32M 1M'));
      await driver.blank('volumes/c/2.qcow2', 100 * 2 ** 40);
      await sound(driver);
    });

    test('stacks layers, and merges any number of them without changing the disk', async (driver) => {
      const base = await cached(driver, 'qcow2');
      for (const lowest of [base, undefined]) {
        const path = (layer: number) => `volumes/${lowest ? 'd' : 'e'}/${layer}.qcow2`;
        if (lowest) await driver.clone(lowest, path(0), SIZE);
        else await driver.blank(path(0), SIZE);
        for (let layer = 1; layer <= 4; layer++) {
          await write(
            driver,
            path(layer - 1),
            `write -P ${layer} ${layer}M 2M`,
            `write -z ${layer * 64}k 64k`,
          );
          await driver.freeze(path(layer - 1));
          await driver.clone({ path: path(layer - 1), format: 'qcow2' }, path(layer), SIZE);
        }
        const before = await contents(driver, path(4));
        const progress: number[] = [];
        await driver.merge(
          path(4),
          { path: path(1), format: 'qcow2' },
          { onPercent: (percent) => progress.push(percent) },
        );
        assert.equal(await driver.baseOf(path(4)), path(1));
        assert.equal(await contents(driver, path(4)), before);
        await driver.merge(path(4), { path: path(1), format: 'qcow2' });
        for (const layer of [3, 2]) await driver.remove(path(layer));
        assert.equal(await contents(driver, path(4)), before);
        await driver.merge(path(4), lowest);
        for (const layer of [1, 0]) await driver.remove(path(layer));
        assert.equal(await contents(driver, path(4)), before);
        assert.equal(await driver.baseOf(path(4)), lowest?.path);
        assert.ok(progress.length > 0);
      }
      await sound(driver);
    });

    test('makes one layer of several, which needs none of them', async (driver) => {
      const base = await cached(driver, 'raw');
      const path = (layer: number) => `volumes/f/${layer}.qcow2`;
      await driver.clone(base, path(0), SIZE);
      await write(driver, path(0), 'write -P 5 3M 3M', 'write -z 0 64k');
      await driver.clone({ path: path(0), format: 'qcow2' }, path(1), SIZE);
      await write(driver, path(1), 'write -z 4M 1M', 'write -P 6 10M 4k');
      const before = await contents(driver, path(1));
      await driver.flatten(path(1), 2, base, 'volumes/g/1.qcow2', SIZE);
      await driver.flatten(path(1), 3, undefined, 'volumes/g/2.qcow2', SIZE);
      for (const layer of [1, 0]) await driver.remove(path(layer));
      assert.equal(await contents(driver, 'volumes/g/1.qcow2'), before);
      assert.equal(await driver.baseOf('volumes/g/1.qcow2'), base.path);
      await driver.remove(base.path);
      assert.equal(await contents(driver, 'volumes/g/2.qcow2'), before);
      assert.equal(await driver.baseOf('volumes/g/2.qcow2'), undefined);
    });

    test('gives a disk with all that it stands on as one that stands alone, twice the same', async (driver) => {
      const base = await cached(driver, 'qcow2');
      await driver.clone(base, 'volumes/h/1.qcow2', SIZE * 2);
      await write(driver, 'volumes/h/1.qcow2', 'write -P 7 20M 1M');
      const outside = join(temporaryDirectory(), 'alone.qcow2');
      const [one, other] = [
        await exported(driver, 'volumes/h/1.qcow2', SIZE * 2),
        await exported(driver, 'volumes/h/1.qcow2', SIZE * 2),
      ];
      assert.equal(sha256(one), sha256(other));
      await writeFile(outside, one);
      await runProgram('qemu-img', [
        'compare',
        '-f',
        'qcow2',
        '-F',
        'qcow2',
        outside,
        driver.location('volumes/h/1.qcow2'),
      ]);
      assert.doesNotMatch(await runProgram('qemu-img', ['info', outside]), /backing/);
    });

    test('tells what files take, lists and removes them', async (driver) => {
      assert.equal(await driver.usage('volumes/i/1.qcow2'), undefined);
      await driver.blank('volumes/i/1.qcow2', SIZE);
      await write(driver, 'volumes/i/1.qcow2', 'write -P 8 0 4M');
      assert.ok(((await driver.usage('volumes/i/1.qcow2')) ?? 0) >= 4 * MIB);
      await driver.blank('volumes/j/1.qcow2', SIZE);
      assert.deepEqual(await paths(driver), ['volumes/i/1.qcow2', 'volumes/j/1.qcow2']);
      assert.deepEqual(await paths(driver, 'volumes/j/'), ['volumes/j/1.qcow2']);
      for (const path of ['volumes/i/1.qcow2', 'volumes/i/1.qcow2', 'never/there']) await driver.remove(path);
      await driver.remove('volumes/j/1.qcow2');
      assert.deepEqual(await paths(driver), []);
    });

    test('lets no path out of the storage', async (driver) => {
      for (const path of ['../out', 'a/../../out', '/etc/passwd', '', 'a//b', 'a\0b']) {
        await assert.rejects(async () => driver.blank(path, SIZE), IngotError, JSON.stringify(path));
        await assert.rejects(async () => driver.remove(path), IngotError, JSON.stringify(path));
      }
    });

    test('makes many clones at once', async (driver) => {
      const base = await cached(driver, 'qcow2');
      const names = Array.from({ length: 40 }, (_, i) => `volumes/many-${i}/1.qcow2`);
      await Promise.all(names.map((path) => driver.clone(base, path, SIZE)));
      assert.equal((await paths(driver, 'volumes/')).length, 40);
      await sound(driver);
    });

    it('says that it is full, and leaves nothing', async (t) => {
      const driver = await maker.makeSmall(8 * MIB);
      if (typeof driver === 'string') return t.skip(driver);
      const full = (error: unknown) =>
        error instanceof IngotError && error.code === 'PS.1006' && error.retryable;
      const writer = await driver.cacheImage('imagecache/big/big.template');
      const fill = async () => {
        for (let i = 0; i < 12; i++) await writer.write(randomBytes(MIB));
        await writer.commit();
      };
      await assert.rejects(fill, full);
      await writer.abort();
      assert.deepEqual(await paths(driver), []);
      await driver.close();
    });
  });
}

/** An image of 16 MiB in the cache: `Z` in its first 300 KiB, `[` from 5 MiB on, zeros elsewhere. */
async function cached(driver: PrimaryStorageDriver, format: 'qcow2' | 'raw'): Promise<Base> {
  const file = join(temporaryDirectory(), `image.${format}`);
  await runProgram('qemu-img', ['create', '-q', '-f', format, file, String(SIZE)]);
  await runProgram('qemu-io', ['-f', format, '-c', 'write -P 90 0 300k', '-c', 'write -P 91 5M 300k', file]);
  const path = `imagecache/${format}/${format}.template`;
  const writer = await driver.cacheImage(path);
  await writer.write(await readFile(file));
  await writer.commit();
  return { path, format };
}

async function write(driver: PrimaryStorageDriver, path: string, ...commands: string[]): Promise<void> {
  await runProgram('qemu-io', [
    '-f',
    'qcow2',
    ...commands.flatMap((command) => ['-c', command]),
    driver.location(path),
  ]);
}

async function read(driver: PrimaryStorageDriver, path: string, ...commands: string[]): Promise<void> {
  const line = [
    '-r',
    '-f',
    'qcow2',
    ...commands.flatMap((command) => ['-c', command]),
    driver.location(path),
  ];
  const said = await runProgram('qemu-io', line);
  assert.doesNotMatch(said, /failed|error/i);
}

async function same(driver: PrimaryStorageDriver, path: string, other: Base): Promise<void> {
  const files = [driver.location(path), driver.location(other.path)];
  await runProgram('qemu-img', ['compare', '-f', 'qcow2', '-F', other.format, ...files]);
}

/** Digest of what a guest would see. */
async function contents(driver: PrimaryStorageDriver, path: string): Promise<string> {
  const file = join(temporaryDirectory(), 'contents.raw');
  await runProgram('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', driver.location(path), file]);
  const digest = sha256(await readFile(file));
  await rm(file);
  return digest;
}

async function sound(driver: PrimaryStorageDriver): Promise<void> {
  for await (const { path } of driver.list('volumes/')) {
    await runProgram('qemu-img', ['check', '-q', '-f', 'qcow2', driver.location(path)]);
  }
}

async function exported(driver: PrimaryStorageDriver, path: string, size: number): Promise<Buffer> {
  const bytes = await driver.export(path, size);
  const target = Buffer.alloc(bytes.size);
  await bytes.read(target, 0);
  bytes.close();
  return target;
}

async function get(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(source));
}

async function paths(driver: PrimaryStorageDriver, prefix = ''): Promise<string[]> {
  const found = await Array.fromAsync(driver.list(prefix));
  return found.map(({ path, partial }) => (partial ? `${path} (partial)` : path)).sort();
}

async function damage(file: string, at: number): Promise<void> {
  const handle = await open(file, 'r+');
  await handle.write(Uint8Array.of(1, 2, 3), 0, 3, at);
  await handle.close();
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
