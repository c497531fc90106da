import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { type Daemon, runProgram, startDaemon, withFreePort } from './program.ts';

export interface FtpServer {
  /** URL of a file in the served directory. */
  url(path: string, user?: string, password?: string): string;
  readonly port: number;
  /** Kills the processes that serve connections, as a crash would. */
  killSessions(): void;
  stop(): Promise<void>;
}

const USER = 'ftp-user';
const PASSWORD = 'ftp/p@ss';

/** Starts ProFTPD on a free port of 127.0.0.1, with one user of its own. `state`: an empty directory. */
export async function startFtpServer(directory: string, state: string): Promise<FtpServer> {
  const hash = (await runProgram('openssl', ['passwd', '-6', PASSWORD])).trim();
  const users = join(state, 'users');
  const uid = process.getuid?.() ?? 0;
  const gid = process.getgid?.() ?? 0;
  writeFileSync(users, `${USER}:${hash}:${uid}:${gid}::${directory}:/bin/sh\n`);
  chmodSync(users, 0o600);
  const { daemon, port } = await withFreePort((free) => startOn(free, directory, state, users));
  return {
    port,
    url: (path, user = USER, password = PASSWORD) =>
      `ftp://${user}:${encodeURIComponent(password)}@127.0.0.1:${port}/${encodeURI(path)}`,
    killSessions: () => {
      const children = readFileSync(`/proc/${daemon.pid}/task/${daemon.pid}/children`, 'utf8');
      for (const pid of children.split(' ').filter(Boolean)) process.kill(Number(pid), 'SIGKILL');
    },
    stop: () => daemon.stop(),
  };
}

async function startOn(
  port: number,
  directory: string,
  state: string,
  users: string,
): Promise<{ daemon: Daemon; port: number }> {
  const config = join(state, 'proftpd.conf');
  const group = (await runProgram('id', ['-gn'])).trim();
  writeFileSync(
    config,
    `ServerName test
ServerType standalone
Port ${port}
DefaultAddress 127.0.0.1
User ${userInfo().username}
Group ${group}
UseReverseDNS off
DefaultRoot ${directory}
RequireValidShell off
RootLogin on
AuthUserFile ${users}
AuthOrder mod_auth_file.c
AuthPAM off
WtmpLog off
AllowRetrieveRestart on
ScoreboardFile ${join(state, 'scoreboard')}
DelayEngine off
PidFile ${join(state, 'pid')}
SystemLog ${join(state, 'log')}
TransferLog none
`,
  );
  const daemon = startDaemon('proftpd', ['-n', '-q', '-c', config]);
  await daemon.waitUntil(() => greets(port));
  return { daemon, port };
}

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
