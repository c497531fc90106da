/** `npm run demo`: from nothing to a guest that has booted, and what each step took; see bench/demo.ts. */
import { join } from 'node:path';
import { ensurePackages, PACKAGES_FOR } from './packages.mjs';
import { projectDirectory } from './project.mjs';
import { becomeRuntime } from './runtime.mjs';
import { ensureInstalled } from './setup.mjs';

ensureInstalled();
ensurePackages(PACKAGES_FOR.demo);
becomeRuntime([join(projectDirectory, 'bench', 'demo.ts'), ...process.argv.slice(2)], {
  cwd: projectDirectory,
});
