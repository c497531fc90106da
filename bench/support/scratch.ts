import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const project = join(import.meta.dirname, '..', '..');
const made: string[] = [];

const clean = () => {
  for (const path of made.splice(0)) rmSync(path, { recursive: true, force: true, maxRetries: 5 });
};
process.on('exit', clean);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(1));

/** Where scratch directories are: on the project's disk, as /tmp may be memory. */
export function scratchRoot(): string {
  const root = join(project, '.cache');
  mkdirSync(root, { recursive: true });
  return root;
}

/** A fresh directory that is removed when the bench ends. */
export function scratchDirectory(): string {
  const path = mkdtempSync(join(scratchRoot(), 'bench-'));
  made.push(path);
  return path;
}

/** Installs the system's programs that benches use. */
export function installPrograms(): void {
  const script = join(project, 'scripts', 'packages.mjs');
  const { status } = spawnSync(process.execPath, [script, 'bench'], { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
