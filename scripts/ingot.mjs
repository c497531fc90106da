#!/usr/bin/env node
/**
 * `ingot …`, and `npm start [-- …]`: installs what is missing, then runs src/main.ts on the pinned Node.
 * Without a call or a command, `npm start` serves (with the settings given) and `ingot` is the shell.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { projectDirectory } from './project.mjs';
import { becomeRuntime } from './runtime.mjs';
import { SERVICE_FLAGS, serviceEnvironment } from './service-runtime.mjs';
import { ensureInstalled } from './setup.mjs';

const { npm_lifecycle_event: event, npm_package_name: name, INIT_CWD: callerDirectory } = process.env;
const byNpmStart = event === 'start' && name === 'ingot';
const args = process.argv.slice(2);
if (byNpmStart && areSettings(args)) args.unshift('serve');

ensureInstalled();
becomeRuntime([...SERVICE_FLAGS, join(projectDirectory, 'src', 'main.ts'), ...args], {
  // npm changes to the package's directory; a relative path means the one where the user stands.
  ...(byNpmStart && callerDirectory && existsSync(callerDirectory) && { cwd: callerDirectory }),
  env: serviceEnvironment(),
});

/** True for `--listen=:8080 --data DIR` and the like, or nothing: no word is a call, no option one of calls alone. */
function areSettings(words) {
  const ofCalls = /^(-h|--(help|version|server|json|quiet|no-wait|password-stdin))(=|$)/;
  const takesNext = (word) => word?.startsWith('--') && !word.includes('=');
  return words.every((word, i) => !ofCalls.test(word) && (word.startsWith('--') || takesNext(words[i - 1])));
}
