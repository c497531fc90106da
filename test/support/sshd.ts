import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { type Daemon, runProgram, startDaemon, withFreePort } from './program.ts';
import { temporaryDirectory } from './temp-directory.ts';

interface SshdOptions {
  /** Whether it runs commands too; otherwise it does SFTP alone, whatever is asked of it. */
  shell?: boolean;
  /** The port, for one that comes back. */
  port?: number;
  /** Directory with its keys, for one that comes back; without, it gets new ones. */
  keys?: string;
}

export interface Sshd {
  host: string;
  port: number;
  username: string;
  /** A private key that it lets in. */
  privateKey: string;
  /** Where its keys are. */
  keys: string;
  /** What it has said. */
  output(): string;
  /** Kills it with all its sessions at once, as a machine's end would. */
  kill(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts OpenSSH's server on a port of 127.0.0.1; it lets in the user of this process, with a key of its own. */
export async function startSshd(options: SshdOptions = {}): Promise<Sshd> {
  const keys = options.keys ?? (await makeKeys());
  // Started as root it insists on this directory, and keeps nothing in it.
  if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 });
  const start = async (port: number) => ({ port, daemon: await startOn(port, keys, options.shell ?? false) });
  const { port, daemon } = options.port === undefined ? await withFreePort(start) : await start(options.port);
  return {
    host: '127.0.0.1',
    port,
    username: userInfo().username,
    privateKey: readFileSync(join(keys, 'user'), 'utf8'),
    keys,
    output: () => daemon.output(),
    async kill() {
      await killTree(daemon.pid);
      await daemon.stop('SIGKILL');
    },
    async stop() {
      await killTree(daemon.pid);
      await daemon.stop();
    },
  };
}

async function makeKeys(): Promise<string> {
  const keys = temporaryDirectory();
  for (const name of ['host', 'user'])
    await runProgram('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(keys, name)]);
  writeFileSync(join(keys, 'authorized'), readFileSync(join(keys, 'user.pub')));
  chmodSync(join(keys, 'authorized'), 0o600);
  return keys;
}

async function startOn(port: number, keys: string, shell: boolean): Promise<Daemon> {
  const file = join(keys, 'sshd_config');
  writeFileSync(
    file,
    `Port ${port}
ListenAddress 127.0.0.1
HostKey ${join(keys, 'host')}
AuthorizedKeysFile ${join(keys, 'authorized')}
PidFile none
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
MaxStartups 100
Subsystem sftp internal-sftp
${shell ? '' : 'ForceCommand internal-sftp'}
`,
  );
  const daemon = startDaemon('sshd', ['-D', '-e', '-f', file]);
  await daemon.waitUntil(() => canConnect(port));
  return daemon;
}

/** Its sessions are processes of their own, which outlive it. */
async function killTree(pid: number): Promise<void> {
  const table = await runProgram('ps', ['-A', '-o', 'pid=,ppid=']);
  const children = new Map<number, number[]>();
  for (const line of table.trim().split('\n')) {
    const [child = 0, parent = 0] = line.trim().split(/\s+/).map(Number);
    children.set(parent, [...(children.get(parent) ?? []), child]);
  }
  const kill = (parent: number): void => {
    for (const child of children.get(parent) ?? []) {
      kill(child);
      try {
        process.kill(child, 'SIGKILL');
      } catch {} // it has ended by itself
    }
  };
  kill(pid);
}

function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => resolve(true)).on('error', () => resolve(false));
    socket.on('connect', () => socket.destroy());
  });
}
