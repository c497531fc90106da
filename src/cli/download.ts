/** `DownloadImage`: the bytes into a file of the user's, whole and right or not at all. */
import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { basename, join } from 'node:path';
import type { Message } from '../kernel/message.ts';
import { sortedJson } from './answer.ts';
import { type HttpAnswer, NotReached } from './client.ts';
import type { CommandContext } from './context.ts';
import { Ending, EXIT, usageError } from './exit-codes.ts';
import { takeLocal } from './local-files.ts';
import type { Options } from './options.ts';
import { readParameters } from './parameters.ts';
import { requestOf } from './request.ts';
import { TransferDisplay } from './transfer-display.ts';

/** How long a service that went away is waited for, in milliseconds. */
const PATIENCE = 60_000;
const PAUSE = 500;

interface Remote {
  path: string;
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
): Promise<HttpAnswer> {
  const { terminal, connection, interrupts } = context;
  const { value: to, rest } = takeLocal(words, 'to');
  const { path } = requestOf(message, readParameters(message, rest));
  const remote = await lookAt(context, path);
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
  const members = { file: target, size: remote.size, sha256Sum: remote.sha256 };
  if (options.json) terminal.print(sortedJson(members));
  else terminal.print(target);
  await connection.server();
  return { status: 200, members, text: '' };
}

/** Size, digest and name, by a HEAD; its error, which has no body, is asked for once more. */
async function lookAt({ connection }: CommandContext, path: string): Promise<Remote> {
  const head = await connection.open({ method: 'HEAD', path });
  head.resume();
  const { etag, 'content-length': length, 'content-disposition': disposition } = head.headers;
  const sha256 = /^"([0-9a-f]{64})"$/.exec(etag ?? '')?.[1];
  if (sha256 === undefined || length === undefined) {
    throw new Ending(EXIT.failed, 'the service does not say how large the image is, and what its digest is');
  }
  const encoded = /filename\*=UTF-8''([^;]+)/i.exec(disposition ?? '')?.[1] ?? 'image';
  return { path, size: Number(length), sha256, name: basename(decodeURIComponent(encoded)) };
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
          await write(file, piece as Buffer, part);
          hash.update(piece as Buffer);
          done += (piece as Buffer).length;
          display.show(done);
        }
        if (done > before) goneSince = undefined;
      } catch (error) {
        if (context.interrupts.signal.aborted || !isPassing(error)) throw error;
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

async function body({ connection }: CommandContext, remote: Remote, start: number): Promise<IncomingMessage> {
  const range = start > 0 ? { range: `bytes=${start}-`, 'if-range': `"${remote.sha256}"` } : {};
  const answer = await connection.open({ method: 'GET', path: remote.path, headers: range });
  if (answer.statusCode === (start > 0 ? 206 : 200)) return answer;
  answer.destroy();
  throw new Ending(EXIT.failed, 'the image is another one than when the download began; call again');
}

async function write(file: FileHandle, piece: Buffer, part: string): Promise<void> {
  await file.appendFile(piece).catch((error) => {
    throw new Ending(EXIT.failed, `${part} can't be written: ${error.message}`);
  });
}

/** A connection that broke: another one may not. */
function isPassing(error: unknown): boolean {
  if (error instanceof NotReached) return true;
  return (
    error instanceof Error &&
    ['ECONNRESET', 'ECONNREFUSED', 'EPIPE'].includes(String((error as NodeJS.ErrnoException).code))
  );
}
