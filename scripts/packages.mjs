/**
 * The system's own programs that tests and benchmarks use, as Debian packages.
 *   packages.mjs test|bench|ceph|hostile|demo     installs what is missing
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fail } from './project.mjs';

/** Package → the programs in it that we call. */
const PACKAGES = {
  'qemu-utils': ['qemu-img', 'qemu-io'],
  'postgresql-15': ['postgres', 'initdb'],
  nginx: ['nginx'],
  'openssh-server': ['sshd'],
  'openssh-client': ['ssh-keygen', 'sftp'],
  procps: ['ps'],
  curl: ['curl'],
  openssl: ['openssl'],
  e2fsprogs: ['mke2fs', 'debugfs'],
  dosfstools: ['mkfs.vfat'],
  fdisk: ['sfdisk'],
  xorriso: ['xorriso'],
  'qemu-system-x86': ['qemu-system-x86_64'],
  'busybox-static': ['busybox'],
  cpio: ['cpio'],
  isolinux: [],
  mtools: ['mcopy'],
  syslinux: ['syslinux'],
  'syslinux-common': [],
  'proftpd-core': ['proftpd'],
  libfaketime: [],
  'swift-proxy': ['swift-proxy-server'],
  'swift-account': ['swift-account-server'],
  'swift-container': ['swift-container-server'],
  'swift-object': ['swift-object-server'],
  memcached: ['memcached'],
  xfsprogs: ['mkfs.xfs'],
  'btrfs-progs': ['mkfs.btrfs'],
  'squashfs-tools': ['mksquashfs'],
  'ntfs-3g': ['mkntfs'],
  exfatprogs: ['mkfs.exfat'],
};

/** The same for the suite that runs against Ceph, and by `npm run test:ceph` alone: it is large. */
const CEPH_PACKAGES = {
  'ceph-mon': ['ceph-mon'],
  'ceph-osd': ['ceph-osd'],
  'ceph-mgr': ['ceph-mgr'],
  'ceph-common': ['ceph', 'ceph-authtool'],
  radosgw: ['radosgw', 'radosgw-admin'],
};

/** Only `npm run hostile` makes file systems of all kinds. */
const FILE_SYSTEMS = ['xfsprogs', 'btrfs-progs', 'squashfs-tools', 'ntfs-3g', 'exfatprogs'];

export const PACKAGES_FOR = {
  test: Object.keys(PACKAGES).filter((name) => !FILE_SYSTEMS.includes(name)),
  hostile: Object.keys(PACKAGES),
  ceph: Object.keys(CEPH_PACKAGES),
  demo: [
    'qemu-utils',
    'qemu-system-x86',
    'busybox-static',
    'cpio',
    'dosfstools',
    'e2fsprogs',
    'fdisk',
    'isolinux',
    'mtools',
    'openssl',
    'syslinux',
    'syslinux-common',
    'xorriso',
  ],
  bench: [
    'qemu-utils',
    'nginx',
    'curl',
    'wrk',
    'openssh-server',
    'openssh-client',
    'procps',
    'swift-proxy',
    'swift-account',
    'swift-container',
    'swift-object',
    'memcached',
  ],
};

/** Packages that bring a service of the machine's, and its name. */
const SERVICES = [
  ['nginx', 'nginx'],
  ['openssh-server', 'ssh'],
  ['proftpd-core', 'proftpd'],
];

/** Starts no service while packages are being configured: invoke-rc.d(8) asks this program, 101 is "no". */
const POLICY = '/usr/sbin/policy-rc.d';
/** pg_createcluster(1): a PostgreSQL that comes for the tests makes no database cluster of its own. */
const NO_CLUSTER = '/etc/postgresql-common/createcluster.d/ingot.conf';

/** Installs the packages that are missing, or ends the process saying how to. */
export function ensurePackages(wanted) {
  if (spawnSync('dpkg-query', ['--version']).error) {
    ensurePrograms(wanted);
    return;
  }
  const installed = installedPackages(wanted);
  const missing = wanted.filter((name) => !installed.includes(name));
  if (missing.length === 0) return;
  if (process.getuid?.() !== 0) {
    fail(`system packages are missing. Install them and start again:
  sudo apt-get install -y --no-install-recommends ${missing.join(' ')}`);
  }
  process.stderr.write(`Installing system packages: ${missing.join(' ')} …\n`);
  withoutStartingServices(() => {
    const install = ['install', '-y', '-q', '--no-install-recommends', ...missing];
    if (apt(install).status === 0) return;
    // The lists of a fresh machine are empty, those of an old one name files that are gone.
    const update = apt(['update', '-q']);
    const second = apt(install);
    if (second.status !== 0) fail(`apt-get could not install them:\n${update.output}${second.output}`);
  });
  for (const [name, service] of SERVICES) {
    if (!missing.includes(name)) continue;
    // It came for the tests, which start their own: it shall not start with the machine either.
    spawnSync('deb-systemd-helper', ['disable', `${service}.service`]);
    spawnSync('update-rc.d', [service, 'disable']);
  }
}

function apt(args) {
  const result = spawnSync('apt-get', ['-o', 'DPkg::Lock::Timeout=300', ...args], {
    encoding: 'utf8',
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C.UTF-8' },
  });
  if (result.error) fail(`could not run apt-get: ${result.error.message}`);
  return { status: result.status, output: `${result.stdout}${result.stderr}` };
}

/** Names of the packages that dpkg has in place. */
function installedPackages(names) {
  const { stdout } = spawnSync('dpkg-query', ['--status', ...names], { encoding: 'utf8' });
  return [...stdout.matchAll(/^Package: (.*)\nStatus: \S+ \S+ installed$/gm)].map((match) => match[1]);
}

function ensurePrograms(wanted) {
  const path = `${process.env.PATH}:/usr/sbin:/sbin:/usr/lib/postgresql/15/bin`;
  const missing = wanted
    .flatMap((name) => PACKAGES[name] ?? CEPH_PACKAGES[name] ?? [name])
    .filter((program) => !path.split(':').some((directory) => existsSync(`${directory}/${program}`)));
  if (missing.length > 0) {
    fail(`these programs are missing: ${missing.join(', ')}.
On Debian they are in the packages ${wanted.join(', ')}; install your system's counterparts and start again.`);
  }
}

function withoutStartingServices(action) {
  const placed = [
    [POLICY, '#!/bin/sh\nexit 101\n', 0o755],
    [NO_CLUSTER, 'create_main_cluster = false\n', 0o644],
  ].filter(([path]) => !existsSync(path));
  const remove = () => {
    for (const [path] of placed) rmSync(path, { force: true });
  };
  process.on('exit', remove);
  for (const [path, content, mode] of placed) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content, { mode });
  }
  action();
  remove();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const wanted = PACKAGES_FOR[process.argv[2]];
  if (!wanted)
    fail(`packages.mjs takes ${Object.keys(PACKAGES_FOR).join(', ')}, not ${process.argv[2] ?? 'nothing'}`);
  ensurePackages(wanted);
}
