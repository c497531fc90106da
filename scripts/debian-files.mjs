/**
 * Files of Debian packages without installing the packages, kept in .cache/debian.
 *   debian-files.mjs fetch PACKAGE   prints the path of the package's .deb
 *   debian-files.mjs images          prints, as JSON, the paths of bootable images that others made
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fail, projectDirectory } from './project.mjs';

const cache = join(projectDirectory, '.cache', 'debian');

/** Bootable images made by others: name → package and path in it. */
const IMAGES = {
  /** Hybrid: an ISO 9660 file system that is a disk with an MBR as well. */
  grubIso: ['grub-rescue-pc', 'usr/lib/grub-rescue/grub-rescue-cdrom.iso'],
  /** Raw: a boot sector and what it loads, without partitions. */
  grubFloppy: ['grub-rescue-pc', 'usr/lib/grub-rescue/grub-rescue-floppy.img'],
  memtestIso: ['memtest86+', 'usr/lib/memtest86+/memtest86+x64.iso'],
  ipxeIso: ['ipxe', 'usr/lib/ipxe/ipxe.iso'],
};

/** Path of the package's .deb. */
function fetchPackage(name) {
  const directory = join(cache, name);
  const found = () =>
    existsSync(directory) ? readdirSync(directory).find((file) => file.endsWith('.deb')) : undefined;
  if (!found()) {
    download(name, directory);
    if (!found()) fail(`apt-get downloaded nothing for the package ${name}`);
  }
  return join(directory, found());
}

function download(name, directory) {
  mkdirSync(cache, { recursive: true });
  const fresh = mkdtempSync(join(cache, '.fresh-'));
  try {
    let result = aptGet(['download', name], fresh);
    if (result.status !== 0 && process.getuid?.() === 0) {
      // The lists of a fresh machine are empty, those of an old one name files that are gone.
      aptGet(['update'], fresh);
      result = aptGet(['download', name], fresh);
    }
    if (result.status !== 0) {
      rmSync(fresh, { recursive: true });
      fail(
        `apt-get could not download the package ${name} (does 'sudo apt-get update' help?):\n${result.stderr}`,
      );
    }
    place(fresh, directory);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

function aptGet(args, cwd) {
  const options = ['-q', '-o', 'DPkg::Lock::Timeout=300', '-o', 'APT::Sandbox::User=root'];
  const result = spawnSync('apt-get', [...options, ...args], { cwd, encoding: 'utf8' });
  if (result.error) fail(`could not run apt-get: ${result.error.message}`);
  return result;
}

/** Directory with the package's files. */
function unpackPackage(name) {
  const deb = fetchPackage(name);
  const files = join(cache, name, 'files');
  if (!existsSync(files)) {
    const fresh = mkdtempSync(join(cache, name, '.fresh-'));
    const result = spawnSync('dpkg-deb', ['-x', deb, fresh], { encoding: 'utf8' });
    if (result.status !== 0) fail(`dpkg-deb could not unpack ${deb}: ${result.error ?? result.stderr}`);
    place(fresh, files);
  }
  return files;
}

/** Gives a finished directory its name. Where another process was quicker, its work is the same and stays. */
function place(fresh, directory) {
  try {
    renameSync(fresh, directory);
  } catch (error) {
    if (!existsSync(directory)) throw error;
    rmSync(fresh, { recursive: true });
  }
}

const [task, name] = process.argv.slice(2);
if (task === 'fetch' && name) process.stdout.write(`${fetchPackage(name)}\n`);
else if (task === 'images') {
  const paths = Object.entries(IMAGES).map(([key, [pkg, path]]) => [key, join(unpackPackage(pkg), path)]);
  process.stdout.write(`${JSON.stringify(Object.fromEntries(paths), undefined, 2)}\n`);
} else fail('debian-files.mjs takes: fetch PACKAGE, or images');
