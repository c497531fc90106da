import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DiskFacts } from '../../src/disk/facts.ts';
import { DiskInspector, type InspectorOptions } from '../../src/disk/inspector.ts';
import { IngotError } from '../../src/kernel/errors.ts';

/** A directory of its own, in which the field's own tools make disks. */
export class Workbench {
  readonly directory = mkdtempSync(join(tmpdir(), 'ingot-disk-'));

  path(name: string): string {
    return join(this.directory, name);
  }

  /** Runs a tool in the directory, with the administrator's programs on its path. */
  run(tool: string, ...args: string[]): string {
    const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };
    return execFileSync(tool, args, { cwd: this.directory, env, encoding: 'utf8', stdio: 'pipe' });
  }

  /** `qemu-img create -f format -o options name size`, then 300 KiB of data at its start and 5 MiB in. */
  create(name: string, format: string, options: string[] = [], size = '16M'): string {
    const path = this.path(name);
    const flags = options.length > 0 ? ['-o', options.join(',')] : [];
    this.run('qemu-img', 'create', '-q', '-f', format, ...flags, path, size);
    this.write(path, format);
    return path;
  }

  /**
   * `qemu-img create` of an encrypted disk of 1 MiB. It measures how fast the machine hashes first, and gives up where
   * it was not given the CPU meanwhile ("Unable to get accurate CPU usage"): a busy machine gets another try.
   */
  createEncrypted(name: string, format: string, ...options: string[]): void {
    const secret = ['--object', 'secret,id=s,data=abc', '-o', options.join()];
    for (let tries = 1; ; tries++) {
      try {
        this.run('qemu-img', 'create', '-q', '-f', format, ...secret, name, '1M');
        return;
      } catch (error) {
        if (tries === 20 || !/accurate CPU usage/.test(String(error))) throw error;
      }
    }
  }

  write(path: string, format: string): void {
    this.run('qemu-io', '-f', format, '-c', 'write -P 90 0 300k', '-c', 'write -P 91 5M 300k', path);
  }

  /** `qemu-img convert` of `source` with these flags. */
  convert(source: string, name: string, ...flags: string[]): string {
    const path = this.path(name);
    this.run('qemu-img', 'convert', ...flags, source, path);
    return path;
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** The verdict over these bytes, written in chunks of these sizes in turn; the memory of each is spoilt after. */
export function inspect(
  image: Uint8Array | string,
  options: InspectorOptions = {},
  sizes: readonly number[] = [65536],
): DiskFacts {
  const bytes = typeof image === 'string' ? readFileSync(image) : image;
  const inspector = new DiskInspector(options);
  const memory = new Uint8Array(Math.max(...sizes));
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const chunk = memory.subarray(0, Math.min(sizes[turn % sizes.length] ?? 1, bytes.length - at));
    chunk.set(bytes.subarray(at, at + chunk.length));
    inspector.write(chunk);
    at += chunk.length;
    chunk.fill(0xa5);
  }
  const facts = inspector.end();
  for (let part = inspector.unread(); part; part = inspector.unread()) {
    assert.ok(part.start < part.end && part.end <= bytes.length, JSON.stringify(part));
    inspector.readAgain(bytes.subarray(part.start, Math.min(part.end, part.start + (sizes[0] ?? 1) + 7)));
  }
  return facts;
}

/** The sentence with which these bytes are refused, after checking its form. */
export function refusedWith(
  image: Uint8Array | string,
  options: InspectorOptions = {},
  sizes?: readonly number[],
): { found: unknown; details: string } {
  try {
    const facts = inspect(image, options, sizes);
    throw new Error(`not refused, but found to be ${JSON.stringify(facts)}`);
  } catch (error) {
    if (!(error instanceof IngotError) || error.code !== 'IMG.1002') throw error;
    return { found: error.opaque?.found, details: error.details };
  }
}

/** The verdict or the refusal, as text to compare. */
export function verdict(
  image: Uint8Array,
  options: InspectorOptions = {},
  sizes?: readonly number[],
): string {
  try {
    return JSON.stringify(inspect(image, options, sizes));
  } catch (error) {
    if (!(error instanceof IngotError) || error.code !== 'IMG.1002') throw error;
    return error.details;
  }
}
