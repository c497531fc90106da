/** `ingot backup DIRECTORY`: the database and the keys as they are at one moment, whether the service runs or not. */
import { existsSync } from 'node:fs';
import { copyFile, mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { DATABASE_FILES, KEY_CHECK, writeManifest } from './backup-directory.ts';
import { type Config, readConfig } from './config.ts';
import { kindOfDatabase } from './database/address.ts';
import { dumpDatabase } from './database/dump.ts';
import { IngotError, isSystemError } from './kernel/errors.ts';
import { secretBoxOf } from './secret-key.ts';
import { VERSION } from './version.ts';

export async function backupCommand(
  arguments_: readonly string[],
  environment: NodeJS.ProcessEnv,
): Promise<number> {
  const [target, ...flags] = arguments_;
  if (target === undefined || target.startsWith('-')) {
    throw new IngotError('SYS.1007', 'say where to: ingot backup DIRECTORY [--data DIR] [setting …]');
  }
  const directory = resolve(target);
  const names = await backup(readConfig(flags, environment), directory);
  const key = names.includes('secret-key')
    ? 'It holds the key of all secrets: keep it where only you can read it.'
    : 'It holds no key: where secrets are kept under INGOT_SECRET_KEY, keep that, too.';
  process.stdout.write(`${directory} holds ${names.join(', ')}.\n${key}\n`);
  return 0;
}

/** Returns the names of the files. */
async function backup(config: Config, directory: string): Promise<string[]> {
  const { data } = config;
  const address = config.databaseUrl || data.databaseFile;
  if (existsSync(directory)) {
    throw new IngotError(
      'SYS.1006',
      `${directory} is there already; a backup goes to a directory of its own`,
    );
  }
  if (config.databaseUrl === '' && !existsSync(address)) {
    throw new IngotError('SYS.1006', `${data.path} is no data directory of an Ingot: it holds no database`, {
      elaboration: 'Name another one with --data or INGOT_DATA.',
    });
  }
  const kind = kindOfDatabase(address);
  const draft = `${directory}.part`;
  await mkdir(dirname(directory), { recursive: true });
  await rm(draft, { recursive: true, force: true });
  await mkdir(draft, { mode: 0o700 });
  try {
    const names: string[] = [DATABASE_FILES[kind]];
    await dumpDatabase(address, join(draft, DATABASE_FILES[kind]));
    // After the database: whatever key it was written with is there by now.
    for (const [name, file] of Object.entries(keptFiles(config))) {
      if (await copied(file, join(draft, name))) names.push(name);
    }
    const hasKey = config.secretKey !== '' || names.includes('secret-key');
    const keySignature = hasKey ? secretBoxOf(config).sign(KEY_CHECK, KEY_CHECK) : undefined;
    await writeManifest(draft, names, {
      version: VERSION,
      createDate: Date.now(),
      database: kind,
      ...(keySignature !== undefined && { keySignature }),
    });
    await rename(draft, directory);
    return names;
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    throw error;
  }
}

/** What else is worth keeping of the data directory, by its name in a backup. */
export function keptFiles({ data }: Pick<Config, 'data'>): Record<string, string> {
  return {
    'secret-key': data.secretKeyFile,
    'admin-password': data.passwordFile,
    'config.json': data.configFile,
  };
}

async function copied(from: string, to: string): Promise<boolean> {
  try {
    await copyFile(from, to);
    return true;
  } catch (error) {
    if (isSystemError(error) && error.code === 'ENOENT') return false;
    throw error;
  }
}
