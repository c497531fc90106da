import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';
import { runProgram } from '../../test/support/program.ts';
import { scratchRoot } from './scratch.ts';

/** What the figures were measured on, in a few lines. */
export async function describeMachine(): Promise<string> {
  const [disk, ...tools] = await Promise.all([
    runProgram('findmnt', ['--noheadings', '--output', 'SOURCE,FSTYPE', '--target', scratchRoot()]),
    version('curl', ['--version']),
    version('nginx', ['-v']),
    version('qemu-img', ['--version']),
  ]);
  return [
    `Machine: ${availableParallelism()} cores (${cpus()[0]?.model.trim()}), ${(totalmem() / 2 ** 30).toFixed(0)} GiB of memory, disk ${disk.trim().replace(/\s+/g, ' ')}, Linux ${release()}`,
    `Versions: Node ${process.versions.node}, SQLite ${process.versions.sqlite}, OpenSSL ${process.versions.openssl}, ${tools.join(', ')}`,
    `Load at the start: ${loadAverage()}`,
    ...(isBusy()
      ? ['Others keep this machine busy: figures are worse than they should be, and scatter.']
      : []),
  ].join('\n');
}

function isBusy(): boolean {
  return (loadavg()[0] ?? 0) > availableParallelism() / 4;
}

/** Of 1, 5 and 15 minutes: on a machine that others use too, figures count only when it is small before a bench. */
export function loadAverage(): string {
  return readFileSync('/proc/loadavg', 'latin1').split(' ').slice(0, 3).join(' ');
}

async function version(program: string, args: string[]): Promise<string> {
  // nginx tells its version on standard error.
  const text = await runProgram('sh', ['-c', `exec "$0" "$@" 2>&1`, program, ...args]);
  return `${program} ${/\d+\.\d+[.\d]*/.exec(text)?.[0] ?? ''}`;
}
