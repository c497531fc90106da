/** Which directories may become a local backup storage. */
import { readdir, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, normalize, sep } from 'node:path';
import { IngotError, isSystemError } from '../../kernel/errors.ts';
import { markedUuid, type StorageKind } from './marker.ts';

/** Not these, and nothing in them. */
const SYSTEM = [
  '/bin',
  '/boot',
  '/dev',
  '/etc',
  '/lib',
  '/lib32',
  '/lib64',
  '/proc',
  '/run',
  '/sbin',
  '/sys',
  '/usr',
];
/** Not these themselves; directories in them may be. */
const SHARED = [
  '/',
  '/home',
  '/media',
  '/mnt',
  '/opt',
  '/root',
  '/srv',
  '/tmp',
  '/var',
  '/var/lib',
  '/var/log',
  '/var/tmp',
];

export function isInside(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory === '/' ? '/' : directory + sep);
}

/**
 * The directory's real path (symbolic links followed as far as it exists). SYS.1007 when it may not be used:
 * a system directory, one of the service's own, one that overlaps another storage's, or one that holds something,
 * but where it is marked as the storage `again`.
 */
export async function usableDirectory(
  url: string,
  others: readonly { name: string; url: string; kind?: StorageKind }[],
  reserved: readonly string[],
  { kind = 'backup', again }: { kind?: StorageKind; again?: string | undefined } = {},
): Promise<string> {
  const path = await realPathOf(normalize(url).replace(/(.)\/+$/, '$1'));
  const refuse = (why: string) =>
    new IngotError('SYS.1007', `'url' ${url} can't be a ${kind} storage: ${why}`, {
      opaque: { parameter: 'url' },
    });

  if (SHARED.includes(path)) throw refuse(`${path} is a directory of the system; name one inside it`);
  const system = SYSTEM.find((directory) => isInside(path, directory));
  if (system) throw refuse(`${system} belongs to the system`);
  const own = reserved.find((directory) => isInside(directory, path));
  if (own) throw refuse(`the service keeps its own files in ${own}`);
  const other = others.find((each) => isInside(path, each.url) || isInside(each.url, path));
  if (other) {
    throw refuse(
      other.url === path
        ? `${other.kind ?? 'backup'} storage '${other.name}' uses it already`
        : `it overlaps with ${other.url} of ${other.kind ?? 'backup'} storage '${other.name}'`,
    );
  }
  const entries = await entriesOf(path, refuse);
  // A fresh ext4 file system has lost+found, and that is no one's data.
  const foreign = entries.find((entry) => entry !== 'lost+found');
  if (foreign === undefined) return path;
  if (foreign !== '.ingot-backup-storage' && foreign !== '.ingot-primary-storage')
    throw refuse(`it is not empty (it holds '${foreign}')`);
  const marked = await markedUuid(path, kind);
  if (marked !== undefined && marked === again) return path;
  const whose = `it is a ${foreign.slice(7, -8)} storage of another Ingot, or of an earlier one; empty it first`;
  const takeUp = kind === 'backup' && marked !== undefined;
  throw refuse(takeUp ? `${whose}, or take it up again with resourceUuid=${marked}` : whose);
}

async function entriesOf(path: string, refuse: (why: string) => IngotError): Promise<string[]> {
  try {
    if (!(await stat(path)).isDirectory()) throw refuse('it is not a directory');
    return await readdir(path);
  } catch (error) {
    if (isSystemError(error)) {
      if (error.code === 'ENOENT') return [];
      throw refuse(error.message);
    }
    throw error;
  }
}

/** The real path as far as the path exists, and the rest as written. */
async function realPathOf(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if (!isSystemError(error) || error.code !== 'ENOENT' || path === '/') return path;
    return join(await realPathOf(dirname(path)), basename(path));
  }
}
