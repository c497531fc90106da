/** A service, a web server with disks, and a look behind the service's back. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Database, openDatabase } from '../../src/database/database.ts';
import { Workbench } from '../disk/workbench.ts';
import {
  type Fault,
  type RangeRequest,
  type RangeServer,
  startRangeServer,
} from '../support/range-server.ts';
import {
  type DatabaseKind,
  startTestService,
  type TestService,
  type TestServiceOptions,
} from '../support/service.ts';
import { smallMbrDisk, smallQcow2 } from '../support/small-disks.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

export interface Stage {
  service: TestService;
  server: RangeServer;
  database: Database;
  /** The bytes behind `/disk.qcow2`, `/disk.raw` and `/disk.iso`. */
  disks: Record<'qcow2' | 'raw' | 'iso', Buffer>;
  /** How the web server misbehaves; reset by `calm`. */
  faults: Map<string, (request: RangeRequest) => Fault | undefined>;
  url(path: string): string;
  /** Adds a local backup storage in the directory, a fresh one by default; says its uuid. */
  addStorage(name: string, directory?: string): Promise<string>;
  /** Everything on the backup storages, and every row and sum, fits together to the byte. */
  checkAll(): Promise<void>;
  /** As `checkAll`, and there is no image and no byte of one. */
  checkNothing(): Promise<void>;
  close(): Promise<void>;
}

export async function openStage(
  kind: DatabaseKind,
  settings: NonNullable<TestServiceOptions['settings']> = {},
): Promise<Stage> {
  const disks = {
    qcow2: readFileSync((await smallQcow2()).path),
    raw: readFileSync((await smallMbrDisk()).path),
    iso: makeIso(),
  };
  const faults: Stage['faults'] = new Map();
  const server = await startRangeServer({
    files: Object.fromEntries(Object.entries(disks).map(([format, bytes]) => [`/disk.${format}`, bytes])),
    fault: (request) => faults.get(request.path)?.(request),
  });
  const service = await startTestService({ database: kind, settings: { stallTimeout: 1, ...settings } });
  const database = await openDatabase(service.databaseAt);
  const checkAll = () => checkConsistency(database);
  return {
    service,
    server,
    database,
    disks,
    faults,
    url: (path) => server.url(path),
    async addStorage(name, directory = join(temporaryDirectory(), 'store')) {
      const { inventory } = await service.client.call('AddLocalBackupStorage', { name, url: directory });
      return inventory.uuid;
    },
    checkAll,
    async checkNothing() {
      await checkAll();
      assert.deepEqual(await database.sql.selectFrom('image').selectAll().execute(), []);
      assert.deepEqual(await database.sql.selectFrom('imageBackupStorageRef').selectAll().execute(), []);
    },
    async close() {
      await database.close();
      await service.stop();
      await server.close();
    },
  };
}

/** Files below the directory but the storage's own and what is written beside copies, with their sizes. */
export function filesOn(directory: string): Map<string, number> {
  if (!existsSync(directory)) return new Map();
  return new Map(
    readdirSync(directory, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && !/^\.ingot-|\.ingot\.json(\.part)?$/.test(entry.name))
      .map((entry) => join(entry.parentPath, entry.name))
      .map((path) => [path, statSync(path).size]),
  );
}

async function checkConsistency(database: Database): Promise<void> {
  const storages = await database.sql.selectFrom('backupStorage').selectAll().execute();
  for (const storage of storages) {
    const refs = await database.sql
      .selectFrom('imageBackupStorageRef')
      .selectAll()
      .where('backupStorageUuid', '=', storage.uuid)
      .execute();
    const expected = new Map(refs.map((ref) => [join(storage.url, ref.path), ref.size]));
    assert.deepEqual(filesOn(storage.url), expected, `files on ${storage.name}`);
    const taken = refs.reduce((sum, ref) => sum + ref.size, 0);
    assert.equal(storage.availableCapacity, storage.totalCapacity - taken, `capacity of ${storage.name}`);
    for (const ref of refs) assert.equal(ref.status, 'Ready');
    // No empty directories are left of what has gone.
    if (refs.length === 0 && existsSync(storage.url)) {
      assert.deepEqual(
        readdirSync(storage.url).filter((name) => !name.startsWith('.ingot-')),
        [],
      );
    }
  }
  const images = await database.sql.selectFrom('image').selectAll().execute();
  for (const image of images) {
    assert.equal(image.status, 'Ready');
    const copies = await database.sql
      .selectFrom('imageBackupStorageRef')
      .selectAll()
      .where('imageUuid', '=', image.uuid)
      .execute();
    assert.ok(copies.length > 0, `${image.name} has a copy`);
    for (const copy of copies) assert.equal(copy.size, image.actualSize);
  }
}

function makeIso(): Buffer {
  const bench = new Workbench();
  try {
    bench.run('mkdir', 'tree');
    bench.run('dd', 'if=/dev/urandom', 'of=tree/data', 'bs=64k', 'count=3');
    bench.run('xorriso', '-as', 'mkisofs', '-quiet', '-V', 'INSTALL', '-o', 'disk.iso', 'tree');
    return readFileSync(bench.path('disk.iso'));
  } finally {
    bench.remove();
  }
}
