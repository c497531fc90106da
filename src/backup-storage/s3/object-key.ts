import { IngotError } from '../../kernel/errors.ts';

/** Our own keys below a storage's prefix begin so; no object's path may. */
const OWN_PREFIX = '.ingot-';
/** Which storage the prefix is. */
export const MARKER_NAME = `${OWN_PREFIX}backup-storage`;
/** Below it, one key for each object that is there without having been committed; see unfinished.ts. */
const UNCOMMITTED = `${OWN_PREFIX}uncommitted/`;

/** S3's limit, in bytes of UTF-8. */
const MOST_KEY_BYTES = 1024;

/** Where a storage keeps its objects: every key below `root`, which is empty or ends with a slash. */
export class Keys {
  readonly root: string;
  readonly uncommittedRoot: string;
  readonly marker: string;

  /** `prefix` as the administrator wrote it, with or without slashes around it. */
  constructor(prefix: string) {
    const names = prefix.split('/').filter((name) => name !== '');
    this.root = names.length > 0 ? `${names.join('/')}/` : '';
    this.marker = this.root + MARKER_NAME;
    this.uncommittedRoot = this.root + UNCOMMITTED;
  }

  /**
   * The key of an object. Paths are made of plain names only, as on a file system: there are servers and tools that
   * take `a/../b` for `b`.
   */
  of(path: string): string {
    const sound = path
      .split('/')
      .every((name) => name !== '' && name !== '.' && name !== '..' && !name.includes('\0'));
    const length = Buffer.byteLength(this.uncommittedRoot + path);
    if (!sound || path.startsWith(OWN_PREFIX) || length > MOST_KEY_BYTES) {
      throw new IngotError('SYS.1007', `${JSON.stringify(path)} can not be the path of an object.`);
    }
    return this.root + path;
  }

  uncommitted(path: string): string {
    return this.uncommittedRoot + path;
  }

  /** The path of an object's key; undefined for a key of our own. */
  pathOf(key: string): string | undefined {
    const path = key.slice(this.root.length);
    return path.startsWith(OWN_PREFIX) || path === '' ? undefined : path;
  }
}
