/**
 * Runs one of the field's programs on bytes that nobody vouches for: in bounded CPU time and memory, unable to write
 * into a file, to reach a network or to gain a privilege.
 */
import { once } from 'node:events';
import { startProgram } from './program.ts';

export interface SandboxLimits {
  /** Seconds of CPU. */
  cpu: number;
  /** Bytes of address space. */
  memory: number;
}

const NO_PRIVILEGES = ['--no-new-privs', '--bounding-set=-all', '--inh-caps=-all'];
/** Killed when its parent dies; asked last, as a change of privileges forgets it. */
const DIES_WITH_US = '--pdeathsig=KILL';

/**
 * The ways to shut a program in: as root, and with user namespaces. What has only its limits around it is not shut in,
 * as it could still reach the network.
 */
const CELLS: readonly (readonly string[])[] = [
  ['unshare', '--net', 'setpriv', DIES_WITH_US, ...NO_PRIVILEGES],
  ['unshare', '--map-root-user', '--net', 'setpriv', DIES_WITH_US, ...NO_PRIVILEGES],
];

let cell: Promise<readonly string[] | undefined> | undefined;

/**
 * What to put before a program's name and arguments: a line that begins with prlimit(1). Undefined where the machine
 * lacks util-linux's programs or forbids all of the ways: then such a program should not be run at all.
 */
export async function sandboxed(limits: SandboxLimits): Promise<readonly string[] | undefined> {
  cell ??= firstThatWorks();
  const found = await cell;
  return found && [...fences(limits), ...found];
}

/** The file size of 0 goes for files only; what is written to a pipe isn't counted. */
function fences({ cpu, memory }: SandboxLimits): string[] {
  return ['prlimit', `--cpu=${cpu}`, `--as=${memory}`, '--fsize=0', '--core=0', '--nofile=64', '--'];
}

async function firstThatWorks(): Promise<readonly string[] | undefined> {
  for (const candidate of CELLS) {
    if (await works([...fences({ cpu: 5, memory: 2 ** 28 }), ...candidate, '--', 'true'])) return candidate;
  }
  return undefined;
}

async function works([program = '', ...line]: readonly string[]): Promise<boolean> {
  try {
    const child = await startProgram(program, line);
    child.stdout?.resume();
    child.stderr?.resume();
    const [code] = await once(child, 'close');
    return code === 0;
  } catch {
    return false;
  }
}
