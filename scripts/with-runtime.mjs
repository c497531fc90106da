/**
 * The project's tools on the pinned Node:
 *   with-runtime.mjs check           types, form, dead code, floors
 *   with-runtime.mjs format          puts the form right
 *   with-runtime.mjs FILE.ts [ARG …] runs the file
 */
import { join } from 'node:path';
import { check } from './check.mjs';
import { fail, projectDirectory } from './project.mjs';
import { becomeRuntime } from './runtime.mjs';
import { ensureInstalled } from './setup.mjs';

const [task, ...args] = process.argv.slice(2);
if (task === undefined) fail('with-runtime.mjs needs check, format or the path of a TypeScript file');

ensureInstalled();
if (task === 'check') process.exitCode = (await check()).length > 0 ? 1 : 0;
else if (task === 'format') {
  becomeRuntime([join(projectDirectory, 'node_modules/.bin/biome'), 'check', '--write', ...args], {
    cwd: projectDirectory,
  });
} else becomeRuntime([task, ...args]);
