import { posix } from 'node:path';
import type { Egress } from '../../transfer/egress.ts';
import type { BackupStorageDriver, StoreObject } from '../driver.ts';
import { fileOf, OWN_PREFIX, PART_SUFFIX, partOf } from '../local/object-path.ts';
import type { SftpServer } from './connection.ts';
import { SftpConnections } from './connections.ts';
import { DigestCheck } from './digest.ts';
import { checkMarker, initialise, retire } from './marker.ts';
import { openReader, readFile } from './reading.ts';
import { RemoteFiles } from './remote-files.ts';
import { openSftpWriter } from './sftp-writer.ts';

export interface SftpStorageOptions {
  /** The storage's own. */
  uuid: string;
  /** Absolute path of the directory on the server. */
  root: string;
  server: SftpServer;
  /** What may be connected to; everything where absent. */
  egress?: Egress | undefined;
  /** Keeps the key of a server that none is remembered of. */
  learnHostKey?: (key: string) => Promise<void>;
  /** Milliseconds until a connection must stand; 10 s by default. */
  connectTimeout?: number;
  /** Milliseconds that the server may be silent while it owes an answer; 30 s by default. */
  answerTimeout?: number;
}

/** A backup storage in a directory of an SSH server, which need not have any program of ours. */
export function sftpBackupStorage({
  uuid,
  root,
  server,
  egress,
  learnHostKey,
  connectTimeout = 10_000,
  answerTimeout = 30_000,
}: SftpStorageOptions): BackupStorageDriver {
  const connections = new SftpConnections({
    server: { ...server },
    egress,
    learnHostKey,
    connectTimeout,
    answerTimeout,
  });
  const host = server.host.includes(':') ? `[${server.host}]` : server.host;
  const files = new RemoteFiles(connections, `sftp://${host}:${server.port}`);
  const place = { files, root, uuid };
  const digests = new DigestCheck(files, answerTimeout);
  return {
    initialise: () => initialise(place),
    retire: () => retire(place),
    ping: () => checkMarker(place, { writable: true }),
    capacity: () => files.capacity(root),
    async create(objectPath, options = {}) {
      const file = fileOf(root, objectPath);
      await checkMarker(place);
      return openSftpWriter(
        { files, root, file, digests, requireStorage: () => checkMarker(place) },
        options,
      );
    },
    read: (objectPath, range) => readFile(files, fileOf(root, objectPath), range),
    readPartial: (objectPath, range) => readFile(files, partOf(fileOf(root, objectPath)), range),
    openForReading(objectPath, { partial = false } = {}) {
      const file = fileOf(root, objectPath);
      return openReader(files, partial ? partOf(file) : file);
    },
    async size(objectPath) {
      const found = await files.stat(fileOf(root, objectPath));
      if (found === undefined) await checkMarker(place);
      return found?.size;
    },
    async remove(objectPath) {
      const file = fileOf(root, objectPath);
      await checkMarker(place);
      const gone = [await files.unlink(file), await files.unlink(partOf(file))];
      if (gone.includes(true)) await files.removeEmptyUpTo(root, posix.dirname(file));
    },
    async *list(prefix) {
      await checkMarker(place);
      yield* walk(files, root, '', prefix);
    },
    location: (objectPath) => files.at(fileOf(root, objectPath)),
    close: () => connections.close(),
  };
}

/** Walks the tree in the order of names; what comes or goes meanwhile may or may not be seen. */
async function* walk(
  files: RemoteFiles,
  root: string,
  directory: string,
  prefix: string,
): AsyncGenerator<StoreObject> {
  for (const { filename, attrs } of (await files.list(posix.join(root, directory))) ?? []) {
    const name = directory + filename;
    if (directory === '' && (name.startsWith(OWN_PREFIX) || name === 'lost+found')) continue;
    if (attrs.isDirectory()) {
      const inner = `${name}/`;
      if (inner.startsWith(prefix) || prefix.startsWith(inner)) yield* walk(files, root, inner, prefix);
    } else if (attrs.isFile()) {
      const partial = name.endsWith(PART_SUFFIX);
      const path = partial ? name.slice(0, -PART_SUFFIX.length) : name;
      if (path.startsWith(prefix)) yield { path, size: attrs.size, partial };
    }
  }
}
