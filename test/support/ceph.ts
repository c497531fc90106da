/**
 * Ceph on one machine, of plain processes: a monitor, a manager, one disk in a sparse file, and the S3 gateway. Needs
 * the packages of `node scripts/packages.mjs ceph`; no service of theirs is started.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts } from './free-ports.ts';
import { type Daemon, runProgram, startDaemon } from './program.ts';
import type { S3Server } from './swift.ts';

export interface Ceph extends S3Server {
  /** Lets no more than so many bytes into a bucket. */
  limit(bucket: string, bytes: number): Promise<void>;
  /** Ends it and deletes what is stored. */
  stop(): Promise<void>;
}

const MIB = 1024 * 1024;

export async function startCeph(): Promise<Ceph> {
  const directory = mkdtempSync(join(tmpdir(), 'ingot-ceph-'));
  const daemons: Daemon[] = [];
  const stop = async () => {
    await Promise.all(daemons.map((daemon) => daemon.stop('SIGKILL')));
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    return { ...(await start(directory, daemons)), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function start(directory: string, daemons: Daemon[]): Promise<Omit<Ceph, 'stop'>> {
  const [monitorPort = 0, gatewayPort = 0] = await freePorts(2);
  const conf = join(directory, 'ceph.conf');
  const fsid = configure(directory, conf, monitorPort, gatewayPort);
  const run = (name: string, ...args: string[]) => runProgram(name, ['-c', conf, ...args]);
  const admin = (...args: string[]) => run('ceph', '--connect-timeout', '10', ...args);
  const daemon = (name: string, ...args: string[]) => {
    const started = startDaemon(name, ['-f', '-c', conf, ...args]);
    daemons.push(started);
    return started;
  };

  await makeMonitor(directory, conf, fsid, monitorPort);
  await daemon('ceph-mon', '-i', 'a').waitUntil(() => succeeds(() => admin('mon', 'stat')));
  const allow = ['mon', 'allow profile mgr', 'osd', 'allow *', 'mds', 'allow *'];
  await admin('auth', 'get-or-create', 'mgr.x', ...allow, '-o', join(directory, 'mgr', 'keyring'));
  daemon('ceph-mgr', '-i', 'x');

  const osd = randomUUID();
  const id = (await admin('osd', 'new', osd)).trim();
  const osdCaps = ['mon', 'allow profile osd', 'mgr', 'allow profile osd', 'osd', 'allow *'];
  await admin('auth', 'get-or-create', `osd.${id}`, ...osdCaps, '-o', join(directory, 'osd', 'keyring'));
  await run('ceph-osd', '-i', id, '--mkfs', '--osd-uuid', osd);
  await daemon('ceph-osd', '-i', id).waitUntil(async () =>
    (await admin('osd', 'stat', '-f', 'json')).includes('"num_up_osds":1'),
  );

  const gatewayCaps = ['mon', 'allow rw', 'osd', 'allow rwx'];
  await admin('auth', 'get-or-create', 'client.rgw', ...gatewayCaps, '-o', join(directory, 'rgw', 'keyring'));
  const endpoint = `http://127.0.0.1:${gatewayPort}`;
  await daemon('radosgw', '-n', 'client.rgw').waitUntil(() => succeeds(() => fetch(endpoint)));
  const [accessKey, secretKey] = [
    randomBytes(10).toString('hex').toUpperCase(),
    randomBytes(20).toString('hex'),
  ];
  const keys = [`--access-key=${accessKey}`, `--secret-key=${secretKey}`];
  await run('radosgw-admin', 'user', 'create', '--uid=images', '--display-name=images', ...keys);
  return {
    endpoint,
    region: 'us-east-1',
    accessKey,
    secretKey,
    async limit(bucket, bytes) {
      const of = ['--quota-scope=bucket', `--bucket=${bucket}`];
      await run('radosgw-admin', 'quota', 'set', ...of, `--max-size=${bytes}`);
      await run('radosgw-admin', 'quota', 'enable', ...of);
    },
  };
}

async function makeMonitor(directory: string, conf: string, fsid: string, port: number): Promise<void> {
  const keyring = join(directory, 'admin.keyring');
  const monitorKeyring = join(directory, 'mon.keyring');
  const map = join(directory, 'monmap');
  const all = ['mon', 'osd', 'mgr', 'mds'].flatMap((who) => ['--cap', who, 'allow *']);
  await runProgram('ceph-authtool', [keyring, '--create-keyring', '--gen-key', '-n', 'client.admin', ...all]);
  const own = ['--create-keyring', '--gen-key', '-n', 'mon.', '--cap', 'mon', 'allow *'];
  await runProgram('ceph-authtool', [monitorKeyring, ...own]);
  await runProgram('ceph-authtool', [monitorKeyring, '--import-keyring', keyring]);
  await runProgram('monmaptool', ['--create', '--addv', 'a', `[v2:127.0.0.1:${port}]`, '--fsid', fsid, map]);
  await runProgram('ceph-mon', [
    '-c',
    conf,
    '--mkfs',
    '-i',
    'a',
    '--monmap',
    map,
    '--keyring',
    monitorKeyring,
  ]);
}

/** Writes ceph.conf; says the cluster's id. */
function configure(directory: string, conf: string, monitorPort: number, gatewayPort: number): string {
  for (const name of ['mon', 'mgr', 'osd', 'rgw', 'run', 'log']) mkdirSync(join(directory, name));
  const fsid = randomUUID();
  writeFileSync(
    conf,
    `[global]
fsid = ${fsid}
mon_initial_members = a
mon_host = [v2:127.0.0.1:${monitorPort}]
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
auth_allow_insecure_global_id_reclaim = false
keyring = ${join(directory, 'admin.keyring')}
run_dir = ${join(directory, 'run')}
admin_socket = ${join(directory, 'run', '$name.asok')}
crash_dir = ${join(directory, 'log')}
log_file = ${join(directory, 'log', '$name.log')}
mon_cluster_log_file = ${join(directory, 'log', 'cluster.log')}
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pgp_num = 8
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_warn_on_pool_no_redundancy = false
mon_max_pg_per_osd = 1000
paxos_propose_interval = 0.1
paxos_min_wait = 0.01
[mon]
mon_data = ${join(directory, 'mon')}
[mgr]
mgr_data = ${join(directory, 'mgr')}
keyring = ${join(directory, 'mgr', 'keyring')}
mgr_initial_modules =
[osd]
osd_data = ${join(directory, 'osd')}
keyring = ${join(directory, 'osd', 'keyring')}
osd_objectstore = bluestore
osd_memory_target = ${1024 * MIB}
osd_memory_cache_min = ${128 * MIB}
bluestore_block_create = true
bluestore_block_size = ${20 * 1024 * MIB}
bluestore_block_db_create = false
bluestore_block_wal_create = false
osd_op_num_shards = 2
osd_numa_auto_affinity = false
[client.rgw]
keyring = ${join(directory, 'rgw', 'keyring')}
rgw_data = ${join(directory, 'rgw')}
rgw_frontends = beast endpoint=127.0.0.1:${gatewayPort} tcp_nodelay=1
rgw_thread_pool_size = 64
rgw_bucket_quota_ttl = 0
rgw_enable_usage_log = false
rgw_enable_ops_log = false
`,
  );
  return fsid;
}

async function succeeds(act: () => Promise<unknown>): Promise<boolean> {
  return act().then(
    () => true,
    () => false,
  );
}
