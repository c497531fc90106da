#!/usr/bin/env node
/**
 * `ingot …`, and `npm start [-- …]`: installs what is missing, then runs src/main.ts on the pinned Node.
 * Without a call or a command, `npm start` serves (with the settings given) and `ingot` is the shell.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { projectDirectory } from './project.mjs';
import { becomeRuntime } from './runtime.mjs';
import { ensureInstalled } from './setup.mjs';

const { npm_lifecycle_event: event, npm_package_name: name, INIT_CWD: callerDirectory } = process.env;
const byNpmStart = event === 'start' && name === 'ingot';
const args = process.argv.slice(2);
if (byNpmStart && areSettings(args)) args.unshift('serve');

ensureInstalled();
becomeRuntime(['--max-semi-space-size=4', join(projectDirectory, 'src', 'main.ts'), ...args], {
  // npm changes to the package's directory; a relative path means the one where the user stands.
  ...(byNpmStart && callerDirectory && existsSync(callerDirectory) && { cwd: callerDirectory }),
  // Reading, writing, flushing and digesting several images at once share libuv's pool of 4 threads otherwise.
  env: {
    UV_THREADPOOL_SIZE: process.env.UV_THREADPOOL_SIZE ?? '16',
    // What one thread frees serves the next, and large blocks go back to the system: hashing a password takes 16 MiB,
    // which glibc's allocator would keep for good once it has seen two of them (measured: 20 MiB less at the peak).
    MALLOC_ARENA_MAX: process.env.MALLOC_ARENA_MAX ?? '2',
    MALLOC_MMAP_THRESHOLD_: process.env.MALLOC_MMAP_THRESHOLD_ ?? '1048576',
    // What Node makes of our TypeScript is kept, so that a call starts in two thirds of the time.
    NODE_COMPILE_CACHE:
      process.env.NODE_COMPILE_CACHE ?? join(projectDirectory, 'node_modules', '.cache', 'ingot'),
  },
});

/** True for `--listen=:8080 --data DIR` and the like, or nothing: no word is a call, no option one of calls alone. */
function areSettings(words) {
  const ofCalls = /^(-h|--(help|version|server|json|quiet|no-wait|password-stdin))(=|$)/;
  const takesNext = (word) => word?.startsWith('--') && !word.includes('=');
  return words.every((word, i) => !ofCalls.test(word) && (word.startsWith('--') || takesNext(words[i - 1])));
}
