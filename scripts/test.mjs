/**
 * `npm test [-- [--no-check] FILE-OR-PART-OF-ITS-NAME …]`: installs what is missing, then leaves the rest to
 * test/run.ts on the pinned Node.
 */
import { join } from 'node:path';
import { ensurePackages, PACKAGES_FOR } from './packages.mjs';
import { projectDirectory } from './project.mjs';
import { becomeRuntime } from './runtime.mjs';
import { ensureInstalled } from './setup.mjs';

ensureInstalled();
ensurePackages(PACKAGES_FOR.test);
becomeRuntime([join(projectDirectory, 'test', 'run.ts'), ...process.argv.slice(2)], {
  cwd: projectDirectory,
});
