/** Starts the pinned Node in this process's place, as nearly as a parent process can. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fail } from './project.mjs';
import { runtimePath } from './setup.mjs';

/**
 * Runs the pinned Node with the arguments until it ends, then ends the same way: same exit code, same signal.
 * @param {string[]} args Node's arguments: the file and its arguments
 * @param {{ cwd?: string, env?: Record<string, string> }} options `env` is added to this process's own
 */
export function becomeRuntime(args, { cwd, env } = {}) {
  const child = spawn(runtimePath(), args, { cwd, env: { ...process.env, ...env }, stdio: 'inherit' });
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  // What a terminal sends (Ctrl-C, hanging up) goes to the whole foreground group: the child has had it.
  for (const signal of ['SIGINT', 'SIGHUP']) {
    process.on(signal, () => {
      if (!isTerminalForeground()) child.kill(signal);
    });
  }
  child.on('error', (error) => fail(`could not start ${runtimePath()}: ${error.message}`));
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

/** True when this process's group is the one that its terminal sends signals to. proc(5): fields 5 and 8. */
function isTerminalForeground() {
  const stat = readFileSync('/proc/self/stat', 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[2] === fields[5];
}
