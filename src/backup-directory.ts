/** What `ingot backup` writes and `ingot restore` reads: a directory of a few files, and what they have to be. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileDurably } from './kernel/durable-file.ts';
import { IngotError, isSystemError } from './kernel/errors.ts';

const MANIFEST = 'manifest.json';
/** What a signature in the manifest is of: that the key is the one of the backup. */
export const KEY_CHECK = 'the key of a backup';

export interface Manifest {
  /** Of this form. */
  form: 1;
  /** The version of Ingot that made it. */
  version: string;
  /** Milliseconds since 1970. */
  createDate: number;
  database: 'sqlite' | 'postgres';
  /** Signed with the key that secrets are kept under; absent where there is none yet. */
  keySignature?: string;
  files: Record<string, { size: number; sha256: string }>;
}

/** By its kind, the file of the database. */
export const DATABASE_FILES = { sqlite: 'database.sqlite', postgres: 'database.pgdump' } as const;

/** Flushes the files and says what they are; the manifest comes last, and without it the directory is no backup. */
export async function writeManifest(
  directory: string,
  names: readonly string[],
  more: Omit<Manifest, 'form' | 'files'>,
): Promise<void> {
  const files: Manifest['files'] = {};
  for (const name of names) {
    const handle = await open(join(directory, name), 'r+');
    try {
      await handle.chmod(0o600);
      await handle.sync();
    } finally {
      await handle.close();
    }
    files[name] = await measure(join(directory, name));
  }
  const manifest: Manifest = { form: 1, ...more, files };
  await writeFileDurably(join(directory, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`, 0o600);
}

/** The manifest of a backup whose files are all there and whole; SYS.1007 where it is none, SYS.1016 where it is damaged. */
export async function readManifest(directory: string): Promise<Manifest> {
  let manifest: Manifest;
  try {
    manifest = JSON.parse(await readFile(join(directory, MANIFEST), 'utf8'));
  } catch (cause) {
    const reason = isSystemError(cause) ? cause.message : 'its manifest is no JSON';
    throw new IngotError('SYS.1007', `${directory} is no backup of an Ingot: ${reason}`, { cause });
  }
  if (manifest.form !== 1 || !Object.hasOwn(DATABASE_FILES, manifest.database)) {
    throw new IngotError('SYS.1007', `${directory} is a backup of a form that this version does not know`, {
      elaboration: `It was made by Ingot ${String(manifest.version)}; restore it with that version or a later one.`,
    });
  }
  for (const [name, expected] of Object.entries(manifest.files)) {
    // Names are our own; one that leads elsewhere was written by somebody else.
    if (!/^[a-z][a-z.-]*$/.test(name))
      throw new IngotError('SYS.1016', `${directory} names a file '${name}'`);
    const found = await measure(join(directory, name)).catch(() => undefined);
    if (found?.size === expected.size && found.sha256 === expected.sha256) continue;
    throw new IngotError(
      'SYS.1016',
      `${join(directory, name)} is ${found ? 'damaged' : 'missing'}; nothing was restored`,
    );
  }
  return manifest;
}

async function measure(file: string): Promise<{ size: number; sha256: string }> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk);
  return { size: (await stat(file)).size, sha256: hash.digest('hex') };
}
