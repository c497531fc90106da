/** `DownloadImage`: the bytes into a file of the user's, whole and right or not at all. */
import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Message } from '../kernel/message.ts';
import { sortedJson } from './answer.ts';
import type { CommandContext } from './context.ts';
import { Ending, EXIT, usageError } from './exit-codes.ts';
import { NotReached } from './http.ts';
import { takeLocal } from './local-files.ts';
import type { Options } from './options.ts';
import { readParameters } from './parameters.ts';
import { TransferDisplay } from './transfer-display.ts';

/** How long a service that went away is waited for, in milliseconds. */
const PATIENCE = 60_000;
const PAUSE = 500;

interface Remote {
  uuid: string;
  size: number;
  sha256: string;
  name: string;
}

/** Writes beside the file until all is there and its SHA-256 is right; what was begun before is gone on with. */
export async function download(
  context: CommandContext,
  message: Message,
  words: readonly string[],
  options: Options,
): Promise<Record<string, unknown>> {
  const { terminal, connection, interrupts } = context;
  const { value: to, rest } = takeLocal(words, 'to');
  const { uuid } = readParameters(message, rest);
  const remote = await lookAt(context, String(uuid));
  const target = await targetOf(to, remote.name);
  const part = `${target}.part`;
  const silent = options.json || options.quiet;
  try {
    const found = await fetchAll(context, remote, part, silent);
    if (found !== remote.sha256) {
      await rm(part, { force: true });
      throw new Ending(
        EXIT.failed,
        `what came has the SHA-256 ${found}, not ${remote.sha256}; it was thrown away`,
        'Call again. If it happens again, ScrubBackupStorage finds the damaged copy.',
      );
    }
  } catch (error) {
    if (interrupts.signal.aborted) {
      throw new Ending(EXIT.interrupted, `interrupted; the same call goes on with ${part}`);
    }
    throw error;
  }
  await rename(part, target);
  terminal.wipe();
  const answer = { file: target, size: remote.size, sha256Sum: remote.sha256 };
  if (options.json) terminal.print(sortedJson(answer));
  else terminal.print(target);
  await connection.server();
  return answer;
}

/** Size, digest and name, by asking for one byte. */
async function lookAt({ connection }: CommandContext, uuid: string): Promise<Remote> {
  const { headers, body } = await connection.download(uuid, { range: 'bytes=0-0' });
  await body?.cancel();
  const sha256 = /^"([0-9a-f]{64})"$/.exec(headers.get('etag') ?? '')?.[1];
  const size = /^bytes 0-0\/(\d+)$/.exec(headers.get('content-range') ?? '')?.[1];
  if (sha256 === undefined || size === undefined) {
    throw new Ending(EXIT.failed, 'the service does not say how large the image is, and what its digest is');
  }
  const disposition = headers.get('content-disposition') ?? '';
  const encoded = /filename\*=UTF-8''([^;]+)/i.exec(disposition)?.[1] ?? 'image';
  return { uuid, size: Number(size), sha256, name: basename(decodeURIComponent(encoded)) };
}

async function targetOf(to: string | undefined, name: string): Promise<string> {
  const there = to === undefined ? undefined : await stat(to).catch(() => undefined);
  const target = to === undefined ? name : there?.isDirectory() || to.endsWith('/') ? join(to, name) : to;
  if (await stat(target).catch(() => undefined)) {
    throw usageError(`${target} exists already; give another file with to=…`);
  }
  return target;
}

/** Fulfilled with the SHA-256 of the whole file. */
async function fetchAll(
  context: CommandContext,
  remote: Remote,
  part: string,
  silent: boolean,
): Promise<string> {
  const { terminal, connection } = context;
  const file = await open(part, 'a+', 0o644).catch((error) => {
    throw new Ending(EXIT.failed, `${part} can't be written: ${error.message}`);
  });
  try {
    let { size: done } = await file.stat();
    // More than there can be: what an earlier image of another size has left.
    if (done > remote.size) done = 0;
    await file.truncate(done);
    const hash = createHash('sha256');
    if (done > 0) for await (const piece of createReadStream(part)) hash.update(piece as Buffer);
    const display = new TransferDisplay({
      terminal,
      label: 'DownloadImage',
      silent,
      total: remote.size,
      resumed: done,
    });
    let goneSince: number | undefined;
    while (done < remote.size) {
      const before = done;
      try {
        for await (const piece of await body(context, remote, done)) {
          await write(file, piece, part);
          hash.update(piece);
          done += piece.length;
          display.show(done);
        }
        if (done > before) goneSince = undefined;
      } catch (error) {
        if (context.interrupts.signal.aborted || !(error instanceof NotReached)) throw error;
        const now = performance.now();
        if (done > before) goneSince = undefined;
        goneSince ??= now;
        if (now - goneSince > PATIENCE) throw error;
        await new Promise((resolve) => setTimeout(resolve, PAUSE));
        await connection.lookAgain();
      }
    }
    await file.sync();
    return digestOf(hash);
  } finally {
    await file.close();
  }
}

const digestOf = (hash: Hash) => hash.digest('hex');

async function body({ connection }: CommandContext, { uuid, sha256 }: Remote, start: number) {
  const range = start > 0 ? { range: `bytes=${start}-`, 'if-range': `"${sha256}"` } : {};
  const answer = await connection.download(uuid, range);
  if (answer.body && answer.status === (start > 0 ? 206 : 200)) return answer.body;
  await answer.body?.cancel();
  throw new Ending(EXIT.failed, 'the image is another one than when the download began; call again');
}

async function write(file: FileHandle, piece: Uint8Array, part: string): Promise<void> {
  await file.appendFile(piece).catch((error) => {
    throw new Ending(EXIT.failed, `${part} can't be written: ${error.message}`);
  });
}
