/**
 * What we have qemu-img do. Formats are always named, never probed, so that bytes a guest wrote can't pass for
 * another format; the only backing files that are ever followed are those of disks that we have made.
 */
import { IngotError } from '../kernel/errors.ts';
import { type Limits, runProgram } from './program.ts';

/** The formats of disks on primary storages. */
export type LayerFormat = 'qcow2' | 'raw';

export interface DiskFile {
  /** Absolute. */
  path: string;
  format: LayerFormat;
}

/** A part of a disk, as its maps show it. Bytes. */
export interface MapEntry {
  start: number;
  length: number;
  /** Which file of the chain holds it: 0 is the disk's own, 1 its backing file, … */
  depth: number;
  /** False where no file of the chain has it. */
  present: boolean;
  zero: boolean;
  data: boolean;
  /** Where in that file its bytes are, as they are; absent where they are compressed. */
  offset?: number;
}

const SILENCE = 120_000;
/** How often one that finds the file locked is tried again, and how long it waits between. */
const LOCK_TRIES = 20;
const LOCK_WAIT = 250;

/** Makes the disk larger; it keeps its contents, and what is new reads as zeros. */
export async function resizeDisk(path: string, size: number, options: Partial<Limits> = {}): Promise<void> {
  await qemuImg(['resize', '-q', '-f', 'qcow2', fileName(path), String(size)], options);
}

/** Takes back what `resizeDisk` added, nothing having been written there since. */
export async function shrinkDisk(path: string, size: number, options: Partial<Limits> = {}): Promise<void> {
  await qemuImg(['resize', '-q', '--shrink', '-f', 'qcow2', fileName(path), String(size)], options);
}

/**
 * Puts the disk on another base without changing what it holds: what differs is copied into it first. Killed in
 * the middle, it still stands on its old base and holds the same; at worst some of its clusters belong to nothing,
 * which is mended at the end of the next try.
 * @param backing relative to the disk's directory; undefined makes the disk stand alone
 */
export async function rebaseDisk(
  path: string,
  backing: { name: string; format: LayerFormat } | undefined,
  options: Partial<Limits> & { onPercent?: (percent: number) => void } = {},
): Promise<void> {
  const base = backing ? ['-b', backing.name, '-F', backing.format] : ['-b', ''];
  await qemuImg(['rebase', '-p', '-f', 'qcow2', ...base, fileName(path)], options, options.onPercent);
  await qemuImg(['check', '-q', '-f', 'qcow2', '-r', 'leaks', fileName(path)], options);
}

/** Writes what the disk holds to a new file that stands alone. */
export async function convertDisk(
  disk: DiskFile,
  target: DiskFile,
  options: Partial<Limits> & { onPercent?: (percent: number) => void } = {},
): Promise<void> {
  const formats = ['-f', disk.format, '-O', target.format];
  await qemuImg(
    ['convert', '-p', ...formats, fileName(disk.path), fileName(target.path)],
    options,
    options.onPercent,
  );
}

/** @throws IngotError SYS.1016 with qemu-img's words when the disk is not sound */
export async function checkDisk(path: string, options: Partial<Limits> = {}): Promise<void> {
  await qemuImg(['check', '-q', '-f', 'qcow2', fileName(path)], options);
}

/** The disk's map from its first byte to its last, given to `onEntry` as it comes. */
export async function mapDisk(
  disk: DiskFile,
  onEntry: (entry: MapEntry) => void,
  options: Partial<Limits> = {},
): Promise<void> {
  let rest = '';
  // One entry a line; a disk of many TiB has millions, so they are never all in memory as text.
  const read = (line: string) => {
    const entry = /\{.*\}/.exec(line)?.[0];
    if (entry !== undefined) onEntry(JSON.parse(entry));
  };
  const onOutput = (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) read(line);
  };
  const line = ['map', '--output=json', '-f', disk.format, fileName(disk.path)];
  await runProgram('qemu-img', line, { silence: SILENCE, ...options }, onOutput);
  read(rest);
}

/** Fulfilled with what it printed. */
async function qemuImg(
  line: readonly string[],
  options: Partial<Limits>,
  onPercent?: (percent: number) => void,
): Promise<string> {
  const limits = { silence: options.silence ?? SILENCE, ...(options.signal && { signal: options.signal }) };
  for (let attempt = 1; ; attempt++) {
    let output = '';
    try {
      await runProgram('qemu-img', line, limits, (text) => {
        const percent = onPercent && /\((\d+(?:\.\d+)?)\/100%\)\s*$/.exec(text)?.[1];
        if (percent !== undefined) onPercent?.(Number(percent));
        else output += text;
      });
      return output;
    } catch (error) {
      // Whoever has it open for a moment (one that we have just killed) lets it go.
      const locked = error instanceof IngotError && error.details.includes('Failed to get');
      if (!locked || attempt === LOCK_TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, LOCK_WAIT));
    }
  }
}

/** QEMU takes what stands before a colon for a protocol; this one says that it is a file. */
export function fileName(path: string): string {
  return `file:${path}`;
}
