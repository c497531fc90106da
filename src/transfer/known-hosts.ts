/** Servers whose keys are known, from a file as OpenSSH's client keeps it: known_hosts in ssh(1), sshd(8). */
import { createHash, createHmac } from 'node:crypto';

interface Line {
  /** Names, with `*` and `?`, or one hashed name. */
  hosts: string;
  key: string;
  revoked: boolean;
}

export class KnownHosts {
  readonly #lines: Line[];

  constructor(text: string) {
    this.#lines = text.split('\n').flatMap((line) => {
      const words = line.trim().split(/\s+/);
      if (words[0] === '' || words[0]?.startsWith('#')) return [];
      const marker = words[0]?.startsWith('@') ? words.shift() : undefined;
      // Keys that sign others' keys are not looked at: ssh2 knows no host certificates.
      if (marker === '@cert-authority') return [];
      const [hosts = '', , key = ''] = words;
      return [{ hosts, key, revoked: marker === '@revoked' }];
    });
  }

  /** Whether the file has the key for the host; `key` as the protocol carries it. */
  has(host: string, port: number, key: Buffer): boolean {
    const name = (port === 22 ? host : `[${host}]:${port}`).toLowerCase();
    const text = key.toString('base64');
    const same = this.#lines.filter((line) => line.key === text);
    if (same.some((line) => line.revoked)) return false;
    return same.some(({ hosts }) => matches(hosts, name));
  }
}

function matches(hosts: string, name: string): boolean {
  const [, salt, hash] = /^\|1\|([^|]+)\|([^|]+)$/.exec(hosts) ?? [];
  if (salt !== undefined) {
    return createHmac('sha1', Buffer.from(salt, 'base64')).update(name).digest('base64') === hash;
  }
  const patterns = hosts.toLowerCase().split(',');
  if (patterns.some((pattern) => pattern.startsWith('!') && isLike(name, pattern.slice(1)))) return false;
  return patterns.some((pattern) => isLike(name, pattern));
}

function isLike(name: string, pattern: string): boolean {
  const escaped = pattern.replace(/[.+^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${escaped.replaceAll('*', '.*').replaceAll('?', '.')}$`).test(name);
}

/** `SHA256:…`, as ssh-keygen shows it. */
export function fingerprintOf(key: Buffer): string {
  return `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`;
}
