import { randomBytes } from 'node:crypto';
import { chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runProgram, startDaemon, withFreePort } from './program.ts';

export interface PostgresCluster {
  /** URL of its database `postgres`, as its superuser. */
  readonly url: string;
  /** As if its machine had died: every connection breaks. */
  die(): Promise<void>;
  /** Starts it again after `die`, at the same address with the same data. */
  revive(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Starts a PostgreSQL of one's own: own directory, own port on 127.0.0.1, own password. It refuses to run as
 * root and runs as the user postgres then. Its data need not survive anything, so it never waits for the disk.
 */
export async function startPostgresCluster(): Promise<PostgresCluster> {
  const user = process.getuid?.() === 0 ? 'postgres' : undefined;
  const directory = mkdtempSync(join(tmpdir(), 'ingot-postgres-'));
  const remove = () => rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  const data = join(directory, 'data');
  const password = randomBytes(16).toString('hex');
  try {
    const passwordFile = join(directory, 'password');
    writeFileSync(passwordFile, password, { mode: 0o600 });
    if (user) {
      const [uid, gid] = await Promise.all(['-u', '-g'].map((id) => runProgram('id', [id, user])));
      for (const path of [directory, passwordFile]) chownSync(path, Number(uid), Number(gid));
    }
    const kind = ['--username=postgres', '--encoding=UTF8', '--locale=C.UTF-8', '--auth=scram-sha-256'];
    await runProgram('initdb', [...kind, '--no-sync', `--pwfile=${passwordFile}`, data], { user });
    let { daemon, port } = await withFreePort((port) => startServer(data, port, user));
    return {
      die: () => daemon.stop('SIGQUIT'), // "immediate": no word to anyone
      async revive() {
        ({ daemon } = await startServer(data, port, user));
      },
      url: `postgresql://postgres:${password}@127.0.0.1:${port}/postgres`,
      async stop() {
        await daemon.stop('SIGINT'); // PostgreSQL's "fast": ends the sessions that are still there
        remove();
      },
    };
  } catch (error) {
    remove();
    throw error;
  }
}

async function startServer(data: string, port: number, user: string | undefined) {
  const settings = {
    listen_addresses: '127.0.0.1',
    port,
    unix_socket_directories: '',
    max_connections: 200,
    fsync: 'off',
    synchronous_commit: 'off',
    full_page_writes: 'off',
  };
  const options = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const daemon = startDaemon('postgres', ['-D', data, ...options], { user });
  await daemon.waitUntil(() => daemon.output().includes('ready to accept connections'));
  return { daemon, port };
}
