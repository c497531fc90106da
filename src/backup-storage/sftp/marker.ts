/** Which storage a directory of the server is, so that an empty mount point isn't taken for it. */
import { posix } from 'node:path';
import { IngotError } from '../../kernel/errors.ts';
import { OWN_PREFIX } from '../local/object-path.ts';
import type { RemoteFiles } from './remote-files.ts';

/** The same as in a directory of the service's own machine. */
const MARKER = `${OWN_PREFIX}backup-storage`;

interface Place {
  files: RemoteFiles;
  root: string;
  uuid: string;
}

/** Done twice for the same storage is success; a directory that is another's, or in another, or holds something is refused. */
export async function initialise({ files, root, uuid }: Place): Promise<void> {
  await requireOutside({ files, root, uuid });
  await files.makeDirectories(root);
  const marker = posix.join(root, MARKER);
  const draft = `${marker}.${uuid}.new`;
  const foreign = (await files.list(root))?.find(
    ({ filename }) => filename !== 'lost+found' && !filename.startsWith(MARKER),
  );
  if (foreign && (await markedUuid(files, root)) !== uuid)
    throw refuse(`${files.at(root)} is not empty (it holds '${foreign.filename}')`);
  await files.writeText(draft, `${JSON.stringify({ uuid })}\n`);
  await files.claim(draft, marker);
  await files.unlink(draft);
  const found = await markedUuid(files, root);
  if (found !== uuid) throw refuse(`${files.at(root)} is the backup storage ${found} already`);
}

/** Rejects when the directory is not that of this storage; with `writable`, also when it can't be written. */
export async function checkMarker(
  { files, root, uuid }: Place,
  options: { writable?: boolean } = {},
): Promise<void> {
  const found = await markedUuid(files, root, options);
  if (found === uuid) return;
  const what = found === undefined ? 'holds no backup storage' : `is the backup storage ${found}`;
  throw new IngotError(
    'BS.1005',
    `${files.at(root)} ${what}, but ${uuid} was expected. Check that its file system is mounted there.`,
    { retryable: true },
  );
}

/** Makes the directory a plain one again, if it is this storage's. */
export async function retire({ files, root, uuid }: Place): Promise<void> {
  await files.unlink(posix.join(root, `${MARKER}.${uuid}.new`));
  if ((await markedUuid(files, root)) === uuid) await files.unlink(posix.join(root, MARKER));
}

async function markedUuid(
  files: RemoteFiles,
  root: string,
  options: { writable?: boolean } = {},
): Promise<string | undefined> {
  const marker = posix.join(root, MARKER);
  const text = await files.readText(marker, options);
  if (text === undefined) return undefined;
  try {
    return String(JSON.parse(text).uuid);
  } catch (cause) {
    throw new IngotError('BS.1005', `${files.at(marker)} can not be understood: ${text.slice(0, 80)}`, {
      cause,
    });
  }
}

/** Two names of one server are not known to be the same: a storage that this one would lie in shows by its mark. */
async function requireOutside({ files, root }: Place): Promise<void> {
  for (let each = posix.dirname(root); each !== '/'; each = posix.dirname(each)) {
    const found = await markedUuid(files, each).catch(() => undefined);
    if (found !== undefined)
      throw refuse(`${files.at(root)} lies in the backup storage ${found} (${files.at(each)})`);
  }
}

function refuse(why: string): IngotError {
  return new IngotError('SYS.1007', `${why}. Choose another directory.`, { opaque: { parameter: 'url' } });
}
