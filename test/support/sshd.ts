import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { type Daemon, runProgram, startDaemon, withFreePort } from './program.ts';

export interface SftpServer {
  readonly port: number;
  /** What a client's known_hosts says of it. */
  readonly knownHosts: string;
  readonly user: string;
  readonly password: string;
  /** URL of a file in the served directory. */
  url(path: string, password?: string): string;
  stop(): Promise<void>;
}

const USER = 'ingot-test-sftp';
const PASSWORD = 'p@ss/w:rd';

/**
 * Starts OpenSSH's server on a free port of 127.0.0.1. Passwords need accounts of the system, so that one is made
 * once and stays: without a home or a shell, and let in by this server alone. `state`: an empty directory.
 */
export async function startSshd(directory: string, state: string): Promise<SftpServer> {
  await ensureUser();
  mkdirSync('/run/sshd', { recursive: true });
  const key = join(state, 'host-key');
  await runProgram('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
  const { daemon, port } = await withFreePort((free) => startOn(free, key, state));
  const [type, encoded] = readFileSync(`${key}.pub`, 'utf8').split(' ');
  return {
    port,
    knownHosts: `[127.0.0.1]:${port} ${type} ${encoded}\n`,
    user: USER,
    password: PASSWORD,
    url: (path, password = PASSWORD) => {
      const absolute = encodeURI(join(directory, path));
      return `sftp://${USER}:${encodeURIComponent(password)}@127.0.0.1:${port}${absolute}`;
    },
    stop: () => daemon.stop(),
  };
}

async function startOn(port: number, key: string, state: string): Promise<{ daemon: Daemon; port: number }> {
  const config = join(state, 'sshd_config');
  writeFileSync(
    config,
    `ListenAddress 127.0.0.1
Port ${port}
HostKey ${key}
PidFile none
UsePAM no
PasswordAuthentication yes
KbdInteractiveAuthentication no
PubkeyAuthentication no
AllowUsers ${USER}
Subsystem sftp internal-sftp
ForceCommand internal-sftp
MaxStartups 100
`,
  );
  const daemon = startDaemon('sshd', ['-D', '-e', '-f', config]);
  await daemon.waitUntil(() => greets(port));
  return { daemon, port };
}

async function ensureUser(): Promise<void> {
  const known = await runProgram('getent', ['passwd', USER]).catch(() => '');
  if (known === '') {
    await runProgram('useradd', ['--system', '--no-create-home', '--shell', '/usr/sbin/nologin', USER]).catch(
      // Another test may have been quicker.
      () => runProgram('getent', ['passwd', USER]),
    );
  }
  await runProgram('chpasswd', [], { input: `${USER}:${PASSWORD}\n` });
}

/** Whether the server says its version. */
function greets(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => resolve(false));
    socket.once('data', () => {
      socket.destroy();
      resolve(true);
    });
  });
}
