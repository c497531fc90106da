/** The checks of `npm run check`: types, form, dead code, floors. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { projectDirectory } from './project.mjs';
import { runtimePath } from './setup.mjs';

const CHECKS = [
  ['types', 'tsc', '-p', '.'],
  ['form', 'biome', 'ci', '--colors=off'],
  ['dead code', 'knip'],
  ['floors', 'depcruise', '--config', '.dependency-cruiser.mjs', 'src'],
];

/** Runs all checks, two at a time, printing each one's words when it ends. Returns the names of those that failed. */
export async function check() {
  const waiting = [...CHECKS];
  const failed = [];
  const runSome = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const [name, tool, ...args] = next;
      const { code, output, seconds } = await run(tool, args);
      process.stdout.write(`${code === 0 ? '✔' : '✖'} ${name} (${tool}, ${seconds} s)\n`);
      if (code !== 0) {
        process.stdout.write(`${output.trimEnd()}\n`);
        failed.push(name);
      }
    }
  };
  await Promise.all([runSome(), runSome()]);
  if (failed.length > 0) process.stdout.write(`Checks that failed: ${failed.join(', ')}\n`);
  return failed;
}

/** Runs a tool of node_modules/.bin on the pinned Node. */
function run(tool, args) {
  const began = Date.now();
  const program = join(projectDirectory, 'node_modules', '.bin', tool);
  const child = spawn(runtimePath(), [program, ...args], {
    cwd: projectDirectory,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text;
    });
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      resolve({ code, output, seconds: ((Date.now() - began) / 1000).toFixed(1) });
    });
  });
}
