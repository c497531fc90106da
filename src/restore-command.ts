/** `ingot restore DIRECTORY [--force]`: what `ingot backup` has written, where no service runs and nothing is lost by it. */
import { existsSync } from 'node:fs';
import { copyFile, readFile, rename, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { AuditLog } from './audit/audit-log.ts';
import { keptFiles } from './backup-command.ts';
import { DATABASE_FILES, KEY_CHECK, type Manifest, readManifest } from './backup-directory.ts';
import { BackupStorages } from './backup-storage/backup-storages.ts';
import { messages } from './catalogue.ts';
import { type Config, readConfig } from './config.ts';
import { kindOfDatabase } from './database/address.ts';
import { type Database, openDatabase } from './database/database.ts';
import { checkPostgresDump, checkSqlite, lastHeard, restorePostgres } from './database/dump.ts';
import { fsck } from './fsck.ts';
import { endPassedJobs } from './image/passed-jobs.ts';
import { systemClock } from './kernel/clock.ts';
import { flush, writeFileDurably } from './kernel/durable-file.ts';
import { IngotError } from './kernel/errors.ts';
import { createLog } from './kernel/log.ts';
import { SecretBox } from './kernel/secret-box.ts';
import { PrimaryStorages } from './primary-storage/primary-storages.ts';
import { parseSecretKey, secretBoxOf } from './secret-key.ts';

/** A process of the service that was heard of this lately is running. In milliseconds. */
const RECENT = 60_000;
const MOST_SHOWN = 20;

/** Exit code 0 when the database is back, whatever the storages lack. */
export async function restoreCommand(
  arguments_: readonly string[],
  environment: NodeJS.ProcessEnv,
): Promise<number> {
  const force = arguments_.includes('--force');
  const [from, ...flags] = arguments_.filter((argument) => argument !== '--force');
  if (from === undefined || from.startsWith('-')) {
    throw new IngotError(
      'SYS.1007',
      'say what from: ingot restore DIRECTORY [--force] [--data DIR] [setting …]',
    );
  }
  const directory = resolve(from);
  const manifest = await readManifest(directory);
  const config = readConfig(flags, environment);
  const address = config.databaseUrl || config.data.databaseFile;
  const kind = kindOfDatabase(address);
  if (kind !== manifest.database) {
    throw new IngotError(
      'SYS.1007',
      `the backup is of ${manifest.database}, and this database would be of ${kind}`,
      {
        elaboration:
          kind === 'sqlite' ? 'Name one of PostgreSQL with --database-url.' : 'Leave --database-url away.',
      },
    );
  }
  // Not while a service works on it.
  await config.data.lock();
  try {
    const kept = await checkKept(config, manifest, directory, force);
    // What can still fail comes first: a database and the key to another one are of no use.
    if (kind === 'sqlite') {
      const ready = await prepareSqlite(config, directory, force);
      await putKept(kept);
      await putSqlite(config, ready);
    } else {
      await putPostgres(config, directory, force);
      await putKept(kept);
    }
    process.stdout.write(await verify(config, manifest));
    return 0;
  } finally {
    await config.data.unlock();
  }
}

/** A file beside the database that is to be put where it was. */
interface Kept {
  file: string;
  content: string;
  mode: number;
}

/** Which files are to be put, and that the database can be read with them; nothing is changed. */
async function checkKept(
  config: Config,
  manifest: Manifest,
  directory: string,
  force: boolean,
): Promise<Kept[]> {
  const kept: Kept[] = [];
  let secrets = secretBoxOf(config);
  for (const [name, file] of Object.entries(keptFiles(config))) {
    if (!Object.hasOwn(manifest.files, name)) continue;
    const content = await readFile(join(directory, name), 'utf8');
    if (name === 'secret-key' && config.secretKey === '') {
      const key = parseSecretKey(content);
      secrets = new SecretBox(() => key);
    }
    const there = existsSync(file) ? await readFile(file, 'utf8') : undefined;
    if (there === content) continue;
    // What is configured here is right for here.
    if (name === 'config.json' && there !== undefined) continue;
    if (there !== undefined && !force) throw occupied(file);
    kept.push({ file, content, mode: name === 'config.json' ? 0o640 : 0o600 });
  }
  const { keySignature } = manifest;
  if (keySignature === undefined || secrets.isSigned(KEY_CHECK, keySignature, KEY_CHECK)) return kept;
  throw new IngotError(
    'SYS.1006',
    'the secrets in the backup were kept under another key than there is here',
    {
      elaboration: 'Give it with INGOT_SECRET_KEY.',
    },
  );
}

async function putKept(kept: readonly Kept[]): Promise<void> {
  const stamp = stampOf();
  for (const { file, content, mode } of kept) {
    if (existsSync(file)) await rename(file, `${file}.${stamp}`);
    await writeFileDurably(file, content, mode);
  }
}

/** The whole database on the disk, beside where it is to be. */
async function prepareSqlite({ data }: Config, directory: string, force: boolean): Promise<string> {
  const file = data.databaseFile;
  const beside = `${file}.new`;
  if (existsSync(file) && !force) throw occupied(file);
  await rm(beside, { force: true });
  try {
    await copyFile(join(directory, DATABASE_FILES.sqlite), beside);
    await flush(beside);
    checkSqlite(beside);
    return beside;
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
}

async function putSqlite({ data }: Config, ready: string): Promise<void> {
  const file = data.databaseFile;
  const stamp = stampOf();
  for (const end of ['', '-wal', '-shm']) {
    if (existsSync(file + end)) await rename(file + end, `${file}.${stamp}${end}`);
  }
  await rename(ready, file);
  await flush(data.path);
}

async function putPostgres({ databaseUrl }: Config, directory: string, force: boolean): Promise<void> {
  const last = await lastHeard(databaseUrl);
  if (last && last.heartBeat > Date.now() - RECENT) {
    throw new IngotError('SYS.1006', `a service on ${last.hostName} uses the database`, {
      elaboration: 'Stop it first. One that was killed counts as running for a minute.',
    });
  }
  if (last && !force) throw occupied('the database');
  await checkPostgresDump(join(directory, DATABASE_FILES.postgres));
  await restorePostgres(databaseUrl, join(directory, DATABASE_FILES.postgres), stampOf());
}

function occupied(what: string): IngotError {
  return new IngotError('SYS.1006', `${what} is there already, and would be replaced`, {
    elaboration:
      'Restore into an empty data directory (--data); or say --force, which keeps what it replaces beside the new, as replaced-….',
  });
}

/** Opens what was restored, brings it up to date, and holds it against the storages. */
async function verify(config: Config, manifest: Manifest): Promise<string> {
  const database = await openDatabase(config.databaseUrl || config.data.databaseFile);
  const log = createLog('silent');
  const storages = new BackupStorages({ database, log, secrets: secretBoxOf(config) });
  const primaryStorages = new PrimaryStorages({ database, log });
  try {
    await forgetRunning(database);
    const audit = new AuditLog({ database, clock: systemClock, messages });
    const passed = await endPassedJobs({ database, storages, audit, now: () => systemClock.now() });
    const {
      findings,
      images,
      storages: count,
    } = await fsck({ database, storages, primaryStorages }, { repair: false, deep: false });
    const lines = [
      `restored the backup of ${new Date(manifest.createDate).toISOString()}: ${images} images, ${count} storages`,
      ...passed.map((sentence) => `  ended: ${sentence}`),
      ...findings.slice(0, MOST_SHOWN).map(({ kind, sentence }) => `  ${kind}: ${sentence}`),
    ];
    if (findings.length > MOST_SHOWN) lines.push(`  and ${findings.length - MOST_SHOWN} more`);
    if (findings.length + passed.length > 0) {
      lines.push(
        "What was stored after the backup is not known to it: RebuildFromStorage registers it. See 'ingot fsck' for the rest.",
      );
    }
    lines.push(
      'It works on the storages of the backup: start it only where the service that was backed up runs no more.',
    );
    return `${lines.join('\n')}\n`;
  } finally {
    await storages.close();
    await primaryStorages.close();
    await database.close();
  }
}

/** Who was logged in then has to log in again; and no process of then is running. */
async function forgetRunning({ sql }: Database): Promise<void> {
  await sql.deleteFrom('session').execute();
  await sql.deleteFrom('managementNode').execute();
}

const stampOf = () => `replaced-${new Date().toISOString().replace(/[-:]|\..*/g, '')}`;
