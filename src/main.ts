/** The command line's entry: the service itself, fsck, backup and restore, and for all else the shell and the calls. */

import { readConfig } from './config.ts';
import { toIngotError } from './kernel/errors.ts';
import type { Service } from './server.ts';

/** Exit codes: 0 done, 1 failed, 2 wrong words; src/cli has those of calls. */
async function main(arguments_: string[]): Promise<number> {
  const [command, ...rest] = arguments_;
  const helpWanted = rest.includes('--help') || rest.includes('-h');
  // What the service writes is for its own user and group, whatever the mask it was started with.
  if (command === 'serve' || command === 'fsck') process.umask(0o027);
  if (command === 'serve' && !helpWanted) {
    const { serve } = await import('./serve.ts');
    return serve(readConfig(rest, process.env));
  }
  if (command === 'fsck' && !helpWanted) {
    const { fsckCommand } = await import('./fsck-command.ts');
    return fsckCommand(rest, process.env);
  }
  if (command === 'backup' && !helpWanted) {
    process.umask(0o077);
    const { backupCommand } = await import('./backup-command.ts');
    return backupCommand(rest, process.env);
  }
  if (command === 'restore' && !helpWanted) {
    process.umask(0o027);
    const { restoreCommand } = await import('./restore-command.ts');
    return restoreCommand(rest, process.env);
  }
  const { runCommandLine } = await import('./cli/command-line.ts');
  return runCommandLine(arguments_, process, { startService });
}

/** A service for one call, where none runs: on the same data directory, and gone again with the call. */
async function startService(data: string): Promise<Service> {
  const [{ startService: start }, { createLog }] = await Promise.all([
    import('./server.ts'),
    import('./kernel/log.ts'),
  ]);
  process.umask(0o027);
  const config = readConfig(['--data', data, '--listen', '127.0.0.1:0'], process.env);
  return start(config, createLog(process.env.INGOT_LOG_LEVEL ?? 'error'));
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (thrown) {
  const error = toIngotError(thrown);
  process.stderr.write(
    `ingot: ${error.details}\n${error.elaboration === undefined ? '' : `${error.elaboration}\n`}`,
  );
  if (error.code === 'SYS.1000' && thrown instanceof Error) process.stderr.write(`${thrown.stack}\n`);
  process.exitCode = error.code === 'SYS.1007' ? 2 : 1;
}
