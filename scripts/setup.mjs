/**
 * What both commands need before they can run: the dependencies, and with them the pinned Node.
 *
 * Runs under whatever Node the machine has (20 or newer), in a clone that has no node_modules yet.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensurePackages } from './packages.mjs';
import { fail, projectDirectory } from './project.mjs';

const modules = join(projectDirectory, 'node_modules');
const lockFile = join(projectDirectory, 'package-lock.json');
const stampFile = join(modules, '.ingot-installed');

/**
 * Makes node_modules be what package-lock.json says. Costs reading two small files when it already is.
 * An installed package (one without a package-lock.json) got its dependencies from npm.
 */
export function ensureInstalled() {
  if (!existsSync(lockFile) || isInstalled()) return;
  // flock(1) frees the lock when its holder dies, however it dies; whoever waited looks again before installing.
  mkdirSync(join(projectDirectory, '.cache'), { recursive: true });
  const lock = join(projectDirectory, '.cache', 'install.lock');
  const self = fileURLToPath(import.meta.url);
  const result = spawnSync('flock', [lock, process.execPath, self], { stdio: 'inherit' });
  if (result.error) fail(`could not run flock (Debian: util-linux): ${result.error.message}`);
  if (result.signal) process.kill(process.pid, result.signal);
  if (result.status !== 0) process.exit(result.status ?? 1);
}

/** Absolute path of the pinned Node. */
export function runtimePath() {
  const name = `node-linux-${process.arch}`;
  if (process.platform !== 'linux' || !['x64', 'arm64'].includes(process.arch)) {
    fail(`runs on Linux on x64 and arm64; this is ${process.platform} on ${process.arch}`);
  }
  try {
    return join(dirname(createRequire(import.meta.url).resolve(`${name}/package.json`)), 'bin', 'node');
  } catch {
    return fail(
      `the Node it runs on, package ${name}, is not installed: run 'npm ci --include=optional' in ${projectDirectory}`,
    );
  }
}

function isInstalled() {
  const wanted = fingerprint();
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === wanted) return true;
  if (!agreesWithLock()) return false;
  ensureRuntimeRuns();
  writeFileSync(stampFile, wanted);
  return true;
}

/** Node's own builds lean on libatomic, which a small Debian doesn't have. */
function ensureRuntimeRuns() {
  const tryIt = () => spawnSync(runtimePath(), ['--version'], { encoding: 'utf8' });
  let result = tryIt();
  if (result.stderr?.includes('libatomic.so.1')) {
    ensurePackages(['libatomic1']);
    result = tryIt();
  }
  if (result.status !== 0) {
    fail(
      `the Node it runs on, ${runtimePath()}, does not start: ${result.error?.message ?? result.stderr.trim()}`,
    );
  }
}

/** Changes whenever another node_modules is needed. */
function fingerprint() {
  const { dependencies, devDependencies, optionalDependencies } = readJson(
    join(projectDirectory, 'package.json'),
  );
  return createHash('sha256')
    .update(`${process.platform} ${process.arch}\n`)
    .update(readFileSync(lockFile))
    .update(JSON.stringify({ dependencies, devDependencies, optionalDependencies }))
    .digest('hex');
}

/**
 * True when someone ran npm by hand and it put in place what the lock file says: npm's own record of an
 * install has the form of the lock file, without what this platform leaves out.
 */
function agreesWithLock() {
  const record = join(modules, '.package-lock.json');
  if (!existsSync(record)) return false;
  const wanted = readJson(lockFile).packages;
  const present = readJson(record).packages;
  const same = (path) => present[path]?.version === wanted[path]?.version;
  return (
    Object.keys(present).every(same) &&
    Object.keys(wanted).every(
      (path) => path === '' || same(path) || (wanted[path].optional && !present[path]),
    )
  );
}

function readJson(path) {
  return JSON.parse(readFileSync(path, 'utf8'));
}

function install() {
  const began = Date.now();
  process.stderr.write(
    existsSync(modules)
      ? 'Dependencies have changed: installing them …'
      : 'Installing dependencies (first start) …',
  );
  // What `npm ci` does: all anew, as the lock file says. `npm ci` itself gives up where a registry doesn't carry the
  // optional packages for other platforms.
  rmSync(modules, { recursive: true, force: true });
  const byNpm = process.env.npm_execpath?.endsWith('npm-cli.js');
  const [program, first] = byNpm ? [process.execPath, [process.env.npm_execpath]] : ['npm', []];
  const args = ['install', '--no-save', '--include=dev', '--include=optional', '--no-audit', '--no-fund'];
  const result = spawnSync(program, [...first, ...args, '--loglevel=error'], {
    cwd: projectDirectory,
    encoding: 'utf8',
  });
  if (result.error || result.status !== 0) {
    process.stderr.write(` failed\n${result.stdout ?? ''}${result.stderr ?? ''}\n`);
    const end = result.signal ? `ended by ${result.signal}` : `exit code ${result.status}`;
    fail(`npm could not install the dependencies (${result.error?.message ?? end}); its own words are above`);
  }
  process.stderr.write(` ${((Date.now() - began) / 1000).toFixed(1)} s\n`);
  if (!isInstalled())
    fail("package-lock.json does not fit package.json: run 'npm install', which writes it anew");
}

// Started by ensureInstalled() with the lock held.
if (process.argv[1] === fileURLToPath(import.meta.url) && !isInstalled()) install();
