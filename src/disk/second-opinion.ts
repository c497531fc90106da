/** What qemu-img check says about a qcow2 that we have judged already: shut in, as the file is nobody's we know. */
import { IngotError } from '../kernel/errors.ts';
import { isInstalled, runProgram } from './program.ts';
import { fileName } from './qemu-img.ts';
import { damaged, quotable } from './refusal.ts';
import { sandboxed } from './sandbox.ts';

/** Enough for an image of some tens of TiB, whose reference counts it holds in memory. */
const LIMITS = { cpu: 120, memory: 2 * 2 ** 30 };
/** Milliseconds without a word; a slow storage may need long. */
const SILENCE = 10 * 60_000;

/** Exit codes of qemu-img check: sound; clusters that belong to nothing, which do no harm; not done; wrong. */
const SOUND = 0;
const LEAKS = 3;
const NOT_DONE = 1;
const CORRUPT = 2;

/** What an older QEMU says of what a newer one has made: no fault of the image. */
const TOO_NEW = /not supported|unsupported|unknown/i;
/** Nor is this. */
const NOT_READ = /Permission denied|Input\/output error|Failed to get/;

/** Why nobody was asked; undefined where the opinion was given, and good. */
export type NotAsked = 'no qemu-img' | 'no sandbox' | 'qemu-img is too old' | 'qemu-img can not read it';

/**
 * @throws IngotError IMG.1002 when the image is not sound, or makes qemu-img crash or run without end;
 * SYS.1001 when the storage does not answer
 */
export async function askQemu(path: string, signal?: AbortSignal): Promise<NotAsked | undefined> {
  if (!(await isInstalled('qemu-img'))) return 'no qemu-img';
  const cell = await sandboxed(LIMITS);
  if (!cell) return 'no sandbox';
  const [program = '', ...line] = [...cell, '--', 'qemu-img', 'check', '-q', '-f', 'qcow2', fileName(path)];
  try {
    await runProgram(program, line, { silence: SILENCE, ...(signal && { signal }) });
    return undefined;
  } catch (error) {
    if (!(error instanceof IngotError) || error.code !== 'SYS.1016') throw error;
    return judge(error);
  }
}

function judge(error: IngotError): NotAsked | undefined {
  const code = error.opaque?.code;
  const words = quotable(String(error.opaque?.words ?? ''), 300);
  if (code === SOUND || code === LEAKS) return undefined;
  if (code === NOT_DONE && TOO_NEW.test(words)) return 'qemu-img is too old';
  if (code === NOT_DONE && NOT_READ.test(words)) return 'qemu-img can not read it';
  if (code === CORRUPT || code === NOT_DONE) throw damaged(`qemu-img check says "${words}"`);
  throw damaged(`qemu-img check did not survive it (${error.opaque?.signal ?? `code ${code}`})`);
}
