import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { type Daemon, findProgram, runProgram, startDaemon, withFreePort } from './program.ts';

interface SshdOptions {
  /** Whether it runs commands too; otherwise it does SFTP alone, whatever is asked of it. */
  shell?: boolean;
  /** The port, for one that comes back. */
  port?: number;
  /** Directory for its keys; one that comes back finds those that it had. */
  keys: string;
  /** The password that it lets root in with; see `canTakePasswords`. */
  password?: string;
}

/** Only root, with the right to mount, can give a server passwords of its own. */
export async function canTakePasswords(): Promise<boolean> {
  if (process.getuid?.() !== 0) return false;
  return runProgram('unshare', ['--mount', 'true']).then(
    () => true,
    () => false,
  );
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
export async function startSshd(options: SshdOptions): Promise<Sshd> {
  const { keys } = options;
  if (!existsSync(join(keys, 'authorized'))) await makeKeys(keys);
  // Started as root it insists on this directory, and keeps nothing in it.
  if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 });
  const start = async (port: number) => ({ port, daemon: await startOn(port, keys, options) });
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

async function makeKeys(keys: string): Promise<void> {
  for (const name of ['host', 'user'])
    await runProgram('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(keys, name)]);
  writeFileSync(join(keys, 'authorized'), readFileSync(join(keys, 'user.pub')));
  chmodSync(join(keys, 'authorized'), 0o600);
}

async function startOn(
  port: number,
  keys: string,
  { shell = false, password }: SshdOptions,
): Promise<Daemon> {
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
PermitRootLogin yes
PasswordAuthentication ${password === undefined ? 'no' : 'yes'}
MaxStartups 100
Subsystem sftp internal-sftp
${shell ? '' : 'ForceCommand internal-sftp'}
`,
  );
  const sshd = ['-D', '-e', '-f', file];
  const daemon =
    password === undefined
      ? startDaemon('sshd', sshd)
      : startDaemon('unshare', [
          '--mount',
          'sh',
          '-c',
          await withPassword(keys, password),
          findProgram('sshd'),
          ...sshd,
        ]);
  await daemon.waitUntil(() => canConnect(port));
  return daemon;
}

/** A script that runs its arguments where the machine's own shadow(5) is another one, for them alone. */
async function withPassword(keys: string, password: string): Promise<string> {
  const hash = (await runProgram('openssl', ['passwd', '-6', '-stdin'], { input: `${password}\n` })).trim();
  const others = readFileSync('/etc/shadow', 'utf8').replace(/^root:.*\n/m, '');
  const shadow = join(keys, 'shadow');
  writeFileSync(shadow, `root:${hash}:19000:0:99999:7:::\n${others}`, { mode: 0o600 });
  return `mount --bind '${shadow}' /etc/shadow && exec "$0" "$@"`;
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
