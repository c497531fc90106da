import { posix } from 'node:path';
import { IngotError } from '../../kernel/errors.ts';
import type { BackupStorageKind, StorageRow } from '../kind.ts';
import { isInside } from '../local/directory.ts';
import { SftpStorage } from './sftp-storage.ts';

type Wanted = StorageRow & { password?: string; privateKey?: string; passphrase?: string };

export const sftpKind: BackupStorageKind = {
  declared: SftpStorage,

  async place(asked, { others, before, egress }) {
    egress?.requireScheme('sftp', 'a server of SFTP is connected to by', 'hostname');
    const wanted = asked as Wanted;
    const { hostname, username, sshPort } = wanted;
    const url = requireDirectory(wanted.url);
    await requireLogIn(wanted, before?.secrets ?? null);
    const other = others.find(
      (each) =>
        each.type === SftpStorage.type &&
        isSameServer(each, wanted) &&
        (isInside(url, each.url) || isInside(each.url, url)),
    );
    if (other) {
      throw refuse(
        'url',
        other.url === url
          ? `'url' ${url} of ${hostname} is the backup storage '${other.name}' already`
          : `'url' ${url} of ${hostname} overlaps with ${other.url} of backup storage '${other.name}'`,
      );
    }
    // Another server has another key.
    const moved = before !== undefined && !isSameServer(before, wanted);
    return { url, hostname, username, sshPort, ...(moved && { hostKey: null }) };
  },

  async open({ uuid, url, hostname, username, sshPort, hostKey }, secrets, { egress, remember }) {
    const { sftpBackupStorage } = await import('./driver.ts');
    return sftpBackupStorage({
      uuid,
      root: url,
      server: {
        host: hostname ?? '',
        port: sshPort ?? 22,
        username: username ?? '',
        ...secrets,
        ...(hostKey !== null && { hostKey }),
      },
      egress,
      learnHostKey: (key) => remember({ hostKey: key }),
    });
  },
};

function isSameServer(one: StorageRow, other: StorageRow): boolean {
  const name = ({ hostname }: StorageRow) => (hostname ?? '').toLowerCase().replace(/\.$/, '');
  return name(one) === name(other) && one.sshPort === other.sshPort;
}

/** Not these, and nothing in them (zstack-api.md 3.1): they hold no files of anybody's. */
const NO_FILES = ['/proc', '/dev', '/sys'];

/** The path in its one spelling. */
function requireDirectory(url: string): string {
  const path = posix.normalize(url).replace(/(.)\/+$/, '$1');
  if (path === '/') throw refuse('url', "'url' can't be / itself; name a directory in it");
  const system = NO_FILES.find((directory) => isInside(path, directory));
  if (system) throw refuse('url', `'url' can't be in ${system}, but is ${url}`);
  return path;
}

async function requireLogIn(
  { password, privateKey, passphrase }: Wanted,
  known: string | null,
): Promise<void> {
  if (!password && !privateKey && known === null)
    throw refuse('password', "a 'password' or a 'privateKey' is needed to log in");
  if (!privateKey) return;
  const { default: ssh2 } = await import('ssh2');
  const parsed = ssh2.utils.parseKey(`${privateKey}\n`, passphrase);
  if (!(parsed instanceof Error)) return;
  const encrypted = /encrypted|passphrase|integrity/i.test(parsed.message);
  throw refuse(
    encrypted ? 'passphrase' : 'privateKey',
    encrypted
      ? "the 'privateKey' is encrypted, and 'passphrase' does not open it"
      : "'privateKey' is no private key in the form of OpenSSH or PEM",
  );
}

function refuse(parameter: string, sentence: string): IngotError {
  return new IngotError('SYS.1007', sentence, { opaque: { parameter } });
}
