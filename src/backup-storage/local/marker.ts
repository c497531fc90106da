import { link, mkdir, open, readFile, unlink } from 'node:fs/promises';
import path from 'node:path';
import { IngotError, isSystemError } from '../../kernel/errors.ts';
import { syncDirectory } from './durable-directory.ts';
import { asFileError } from './file-error.ts';
import { OWN_PREFIX } from './object-path.ts';

/** Which storage a directory is, so that an empty mount point isn't taken for it. */
const markerOf = (kind: StorageKind) => `${OWN_PREFIX}${kind}-storage`;

export type StorageKind = 'backup' | 'primary';

export interface LocalStorageOptions {
  /** Absolute path of the directory. */
  root: string;
  /** The storage's own. */
  uuid: string;
  /** What kind of storage the directory is; a backup storage by default. */
  kind?: StorageKind;
}

/**
 * Makes a directory a backup storage: makes it where it is missing and writes the marker. Done twice for the
 * same storage is success; a directory that is another storage's is refused.
 */
export async function initialiseLocalBackupStorage({
  root,
  uuid,
  kind = 'backup',
}: LocalStorageOptions): Promise<void> {
  const marker = path.join(root, markerOf(kind));
  const draft = `${marker}.${uuid}.new`;
  try {
    await mkdir(root, { recursive: true, mode: 0o750 });
    const handle = await open(draft, 'w', 0o640);
    try {
      await handle.writeFile(`${JSON.stringify({ uuid })}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    // A link, unlike a rename, never replaces the marker of another storage.
    await link(draft, marker).catch((thrown) => {
      if (!isSystemError(thrown) || thrown.code !== 'EEXIST') throw thrown;
    });
    await unlink(draft);
    await syncDirectory(root);
  } catch (thrown) {
    await unlink(draft).catch(() => {});
    throw asFileError(thrown, root);
  }
  const found = await markedUuid(root, kind);
  if (found !== uuid) {
    throw new IngotError(
      'SYS.1007',
      `${root} is the ${kind} storage ${found} already. Choose another directory.`,
    );
  }
}

/** Rejects when the directory is not that of this storage. */
export async function checkMarker({ root, uuid, kind = 'backup' }: LocalStorageOptions): Promise<void> {
  const found = await markedUuid(root, kind);
  if (found === uuid) return;
  const what = found === undefined ? `holds no ${kind} storage` : `is the ${kind} storage ${found}`;
  throw new IngotError(
    kind === 'backup' ? 'BS.1005' : 'PS.1003',
    `${root} ${what}, but ${uuid} was expected. Check that its file system is mounted.`,
    { retryable: true },
  );
}

/** The uuid of the storage of that kind that a directory is; undefined when it is none. */
export async function markedUuid(root: string, kind: StorageKind = 'backup'): Promise<string | undefined> {
  const marker = path.join(root, markerOf(kind));
  let text: string;
  try {
    text = await readFile(marker, 'utf8');
  } catch (thrown) {
    if (isSystemError(thrown) && (thrown.code === 'ENOENT' || thrown.code === 'ENOTDIR')) return undefined;
    throw asFileError(thrown, marker);
  }
  try {
    return String(JSON.parse(text).uuid);
  } catch (cause) {
    throw new IngotError('BS.1005', `${marker} can not be understood: ${text.slice(0, 80)}`, { cause });
  }
}

/** Makes the directory a plain one again, if it is this storage's; what else lies in it stays. */
export async function retireLocalBackupStorage({
  root,
  uuid,
  kind = 'backup',
}: LocalStorageOptions): Promise<void> {
  try {
    if ((await markedUuid(root, kind)) !== uuid) return;
    await unlink(path.join(root, markerOf(kind)));
    await syncDirectory(root);
  } catch (thrown) {
    throw asFileError(thrown, root);
  }
}
