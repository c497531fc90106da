/**
 * What qemu-img check says about a qcow2 that we have judged already: shut in, as the file is nobody's we know.
 *
 * Its words are shown, and never decide: they quote names that stand in the image. What decides is how it ends, with
 * the image, with a file that it only has to open, and with an image of our own making. In doubt the image is refused.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { IngotError } from '../kernel/errors.ts';
import { checkNeeds } from './check-needs.ts';
import { type NewerFeature, sampleWith } from './newer-features.ts';
import { isInstalled, runProgram } from './program.ts';
import { fileName } from './qemu-img.ts';
import { damaged, quotable } from './refusal.ts';
import { sandboxed } from './sandbox.ts';

/** Milliseconds without a word; a slow storage may need long. */
const SILENCE = 10 * 60_000;
/** Characters of its words that are shown. */
const MOST_WORDS = 300;

/** Exit codes of qemu-img check: sound; wrong; clusters that belong to nothing, which do no harm. */
const SOUND = 0;
const CORRUPT = 2;
const LEAKS = 3;
/** The format has nothing to be checked, as raw: so the file could be opened. */
const NOTHING_TO_CHECK = 63;

/** Why nobody was asked; undefined where the opinion was given, and good. */
export type NotAsked =
  | 'no qemu-img'
  | 'no sandbox'
  | 'it would need too much memory'
  | 'qemu-img is too old'
  | 'qemu-img can not read it';

interface Asking {
  /** A directory for files that end with the process. */
  scratch: string;
  signal?: AbortSignal;
}

interface Ended {
  /** Null where it was killed. */
  code: unknown;
  signal?: unknown;
  words: string;
}

/**
 * @throws IngotError IMG.1002 when the image is not sound, or makes qemu-img crash or run without end;
 * SYS.1001 when the storage does not answer
 */
export async function askQemu(path: string, { scratch, signal }: Asking): Promise<NotAsked | undefined> {
  if (!(await isInstalled('qemu-img'))) return 'no qemu-img';
  const { limits, newer } = await checkNeeds(path);
  if (!limits) return 'it would need too much memory';
  const cell = await sandboxed(limits);
  if (!cell) return 'no sandbox';
  const check = (format: 'qcow2' | 'raw', file: string) => runCheck(cell, format, file, signal);
  const ended = await check('qcow2', path);
  if (ended.code === SOUND || ended.code === LEAKS) return undefined;
  if (ended.code === CORRUPT) throw damaged(`qemu-img check says "${shown(ended.words, path)}"`);
  if (ended.code === null) throw damaged(`qemu-img check did not survive it (${ended.signal})`);
  // A machine that lets nobody open the file, or start a program, says nothing of the image.
  if ((await check('raw', path)).code !== NOTHING_TO_CHECK) return 'qemu-img can not read it';
  for (const feature of newer) {
    if (!(await knows(feature, scratch, check))) return 'qemu-img is too old';
  }
  throw damaged(`qemu-img check says "${shown(ended.words, path)}"`);
}

async function runCheck(
  cell: readonly string[],
  format: 'qcow2' | 'raw',
  path: string,
  signal: AbortSignal | undefined,
): Promise<Ended> {
  // Shared (-U), as a lock that somebody has for a moment says nothing of the image.
  const [program = '', ...line] = [
    ...cell,
    '--',
    'qemu-img',
    'check',
    '-q',
    '-U',
    '-f',
    format,
    fileName(path),
  ];
  try {
    await runProgram(program, line, { silence: SILENCE, ...(signal && { signal }) });
    return { code: SOUND, words: '' };
  } catch (error) {
    if (!(error instanceof IngotError) || error.code !== 'SYS.1016') throw error;
    const { code, signal: killedBy, words } = error.opaque ?? {};
    return { code, signal: killedBy, words: String(words ?? '') };
  }
}

async function knows(
  feature: NewerFeature,
  scratch: string,
  check: (format: 'qcow2', file: string) => Promise<Ended>,
): Promise<boolean> {
  const directory = await mkdtemp(join(scratch, 'sample-'));
  try {
    const sample = join(directory, feature);
    await writeFile(sample, sampleWith(feature));
    return (await check('qcow2', sample)).code === SOUND;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Without the place of the file, which is nobody's business. */
function shown(words: string, path: string): string {
  let said = words;
  // Of many words only the last are kept, so that the first of them may be the end of its name.
  for (let from = 1; from < path.length - 3; from++) {
    if (!said.startsWith(path.slice(from))) continue;
    said = said.slice(path.length - from);
    break;
  }
  const inJson = JSON.stringify(path).slice(1, -1);
  for (const name of [fileName(path), path, inJson]) {
    said = said.replaceAll(`'${name}'`, 'the image').replaceAll(name, 'the image');
  }
  return quotable(said, MOST_WORDS);
}
