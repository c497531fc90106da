/**
 * OpenStack Swift with its S3 API: a real object store that knows less of S3 than Amazon's, so that what works
 * with it works with the strict and the old servers of the field.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { freePorts } from './free-ports.ts';
import { type Daemon, findProgram, runProgram, startDaemon } from './program.ts';

export interface S3Server {
  /** `http://127.0.0.1:PORT` */
  readonly endpoint: string;
  readonly region: string;
  readonly accessKey: string;
  readonly secretKey: string;
}

export interface Swift extends S3Server {
  readonly port: number;
  /** Lets no more than so many bytes come by multipart uploads into a bucket that has had none yet. */
  limit(bucket: string, bytes: number): Promise<void>;
  /** SIGKILL for every process of it; what is stored stays. */
  kill(): Promise<void>;
  /** Brings it back on the same port after `kill`. */
  restart(): Promise<void>;
  /** Ends it and deletes what is stored. */
  stop(): Promise<void>;
}

const SERVERS = ['object', 'container', 'account', 'proxy'] as const;

/** Starts it on free ports of 127.0.0.1, in a directory of its own below `parent`: one disk, one replica. */
export async function startSwift(parent = tmpdir()): Promise<Swift> {
  const directory = mkdtempSync(join(parent, 'ingot-swift-'));
  const remove = () => rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  try {
    const ports = await freePorts(5);
    await configure(directory, ports);
    const [proxyPort = 0] = ports.slice(3);
    let daemons = await start(directory, ports);
    const end = (signal: NodeJS.Signals) => Promise.all(daemons.map((daemon) => daemon.stop(signal)));
    return {
      endpoint: `http://127.0.0.1:${proxyPort}`,
      port: proxyPort,
      region: 'us-east-1',
      accessKey: 'test:tester',
      secretKey: 'testing-secret',
      limit: (bucket, bytes) => limit(`http://127.0.0.1:${proxyPort}`, bucket, bytes),
      async kill() {
        await end('SIGKILL');
      },
      async restart() {
        daemons = await start(directory, ports);
      },
      async stop() {
        await end('SIGKILL');
        remove();
      },
    };
  } catch (error) {
    remove();
    throw error;
  }
}

async function start(directory: string, ports: readonly number[]): Promise<Daemon[]> {
  const [, , , proxyPort = 0, cachePort = 0] = ports;
  const cache = ['-u', userInfo().username, '-l', '127.0.0.1', '-p', String(cachePort), '-m', '32'];
  const daemons = [
    startDaemon('memcached', cache),
    ...SERVERS.map((server) => startDaemon('sh', launch(directory, server))),
  ];
  try {
    const proxy = daemons.at(-1) as Daemon;
    await proxy.waitUntil(() => answers(`http://127.0.0.1:${proxyPort}/`));
    for (const [index, port] of ports.slice(0, 3).entries()) {
      await daemons[index + 1]?.waitUntil(() => answers(`http://127.0.0.1:${port}/recon/version`));
    }
    return daemons;
  } catch (error) {
    await Promise.all(daemons.map((daemon) => daemon.stop('SIGKILL')));
    throw error;
  }
}

/** Arguments of sh(1) that become a program in Python: on Debian's own one, whichever comes first in PATH. */
function python(program: string, ...args: string[]): string[] {
  return ['-c', 'exec /usr/bin/python3 -c "$@"', 'sh', program, ...args];
}

/**
 * In seconds. By its own, Swift waits half a second for a connection and one for the listing of a container to take
 * what was written, and leaves the rest to a daemon that does not run here: on a busy machine, its listings would
 * name what is gone for good.
 */
const PATIENCE = { conn_timeout: 30, node_timeout: 60, container_update_timeout: 60 };

/** Swift looks for swift.conf in /etc/swift unless told otherwise. */
const SERVE = `import runpy, sys
from swift.common import utils
utils.set_swift_dir(sys.argv[1])
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name='__main__')`;

/** What swift-ring-builder(1) does, in one process for all: which disk keeps what is one disk each. */
const MAKE_RINGS = `import json, sys
from swift.common.ring import RingBuilder
for server, port in json.loads(sys.argv[2]).items():
    builder = RingBuilder(2, 1, 0)
    builder.add_dev({'region': 1, 'zone': 1, 'ip': '127.0.0.1', 'port': port, 'device': 'one', 'weight': 1})
    builder.rebalance()
    builder.get_ring().save('%s/%s.ring.gz' % (sys.argv[1], server))`;

function launch(directory: string, server: string): string[] {
  const program = findProgram(`swift-${server}-server`);
  return python(SERVE, directory, program, join(directory, `${server}-server.conf`));
}

async function configure(directory: string, ports: readonly number[]): Promise<void> {
  const disks = join(directory, 'disks');
  mkdirSync(join(disks, 'one'), { recursive: true });
  writeFileSync(
    join(directory, 'swift.conf'),
    '[swift-hash]\nswift_hash_path_suffix = ingot\n[storage-policy:0]\nname = only\ndefault = yes\n',
  );
  const common = (port: number) => `[DEFAULT]
bind_ip = 127.0.0.1
bind_port = ${port}
workers = 0
user = ${userInfo().username}
swift_dir = ${directory}
devices = ${disks}
mount_check = false
disable_fallocate = true
log_level = WARNING
log_address = ${join(directory, 'no-log')}
${Object.entries(PATIENCE)
  .map(([name, seconds]) => `${name} = ${seconds}`)
  .join('\n')}
`;
  const rings = Object.fromEntries(SERVERS.slice(0, 3).map((server, index) => [server, ports[index] ?? 0]));
  await runProgram('sh', python(MAKE_RINGS, directory, JSON.stringify(rings)));
  for (const [server, port] of Object.entries(rings)) {
    writeFileSync(
      join(directory, `${server}-server.conf`),
      `${common(port)}[pipeline:main]
pipeline = recon ${server}-server
[filter:recon]
use = egg:swift#recon
recon_cache_path = ${directory}
[app:${server}-server]
use = egg:swift#${server}
fallocate_reserve = 0
`,
    );
  }
  const [, , , proxyPort = 0, cachePort = 0] = ports;
  writeFileSync(
    join(directory, 'proxy-server.conf'),
    `${common(proxyPort)}[pipeline:main]
pipeline = catch_errors cache listing_formats bulk s3api tempauth copy container-quotas slo dlo versioned_writes symlink proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:${cachePort}
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing-secret .admin
${['catch_errors', 'listing_formats', 'bulk', 'copy', 'slo', 'dlo', 'versioned_writes', 'symlink']
  .map((name) => `[filter:${name}]\nuse = egg:swift#${name}\n`)
  .join('')}[filter:container-quotas]
use = egg:swift#container_quotas
`,
  );
}

/** The parts of uploads lie in a container of their own, whose quota can be set in Swift's own API. */
async function limit(address: string, bucket: string, bytes: number): Promise<void> {
  const user = { 'x-auth-user': 'test:tester', 'x-auth-key': 'testing-secret' };
  const session = await fetch(`${address}/auth/v1.0`, { headers: user });
  const container = `${session.headers.get('x-storage-url')}/${encodeURIComponent(`${bucket}+segments`)}`;
  const headers = {
    'x-auth-token': session.headers.get('x-auth-token') ?? '',
    'x-container-meta-quota-bytes': String(bytes),
  };
  const answer = await fetch(container, { method: 'PUT', headers });
  if (!answer.ok) throw new Error(`${container}: ${answer.status} ${await answer.text()}`);
}

async function answers(url: string): Promise<boolean> {
  try {
    await (await fetch(url)).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}
