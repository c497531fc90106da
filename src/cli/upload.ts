/** `AddImage file=…`: sends a file of the user's over the tus protocol, and goes on where an earlier call stopped. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { formatSize } from '../kernel/format.ts';
import type { Message } from '../kernel/message.ts';
import { showAnswer, sortedJson } from './answer.ts';
import type { CommandContext } from './context.ts';
import { Ending, EXIT, usageError } from './exit-codes.ts';
import { NotReached } from './http.ts';
import { waitForJob } from './job.ts';
import type { Options } from './options.ts';
import { readParameters } from './parameters.ts';
import { type PendingUpload, PendingUploads } from './pending-uploads.ts';
import { TransferDisplay } from './transfer-display.ts';

/** How long a service that went away, or is not ready, is waited for, in milliseconds. */
const PATIENCE = 120_000;
const PAUSE = 500;
/** How much is read at once, in bytes. */
const PIECE = 1024 * 1024;
const TUS = { 'tus-resumable': '1.0.0' };

interface Sending extends PendingUpload {
  file: string;
  size: number;
}

export async function upload(
  context: CommandContext,
  message: Message,
  { file: given, words, options }: { file: string; words: readonly string[]; options: Options },
): Promise<Record<string, unknown>> {
  if (words.some((word) => word.startsWith('url='))) throw usageError("give 'file' or 'url', not both");
  const { connection, terminal, interrupts } = context;
  const file = resolve(given);
  const stats = await stat(file).catch(() => undefined);
  if (!stats) throw usageError(`${given} does not exist`);
  if (!stats.isFile()) throw usageError(`${given} is no file`);
  const parameters = readParameters(message, [
    ...words,
    `url=upload://${encodeURIComponent(basename(file)).slice(0, 1000)}`,
    `uploadSize=${stats.size}`,
  ]);
  const silent = options.json || options.quiet;
  const { address, data, stop } = await connection.server();
  const what = [stop ? data.path : address, file, String(stats.size), String(stats.mtimeMs), ...words];
  const pending = new PendingUploads(terminal.process.env, what);
  const sending = await begin(context, message, parameters, pending, silent);
  try {
    await sendAll(context, { ...sending, file, size: stats.size }, silent);
  } catch (error) {
    if (!interrupts.signal.aborted) throw error;
    throw new Ending(EXIT.interrupted, 'interrupted; the same call goes on with the upload');
  }
  terminal.wipe();
  await requireUnchanged(context, file, stats, sending, pending);
  if (!options.wait) {
    const begun = { uuid: sending.job };
    terminal.print(options.json ? sortedJson(begun) : sending.job);
    return begun;
  }
  try {
    const answer = await waitForJob({
      ...context,
      message,
      job: sending.job,
      silent,
      printUuid: !options.json,
    });
    showAnswer(terminal, message, answer, options);
    return answer;
  } finally {
    await pending.forget();
  }
}

/** The upload that an earlier call began, where it is still awaited, or a new one. */
async function begin(
  context: CommandContext,
  message: Message,
  parameters: Record<string, unknown>,
  pending: PendingUploads,
  silent: boolean,
): Promise<PendingUpload> {
  const { connection, terminal } = context;
  const earlier = await pending.read();
  if (earlier) {
    const offset = await offsetOf(context, earlier.path);
    if (offset !== undefined) {
      if (!silent) terminal.remark(`Going on with an upload that has ${formatSize(offset)} already.`);
      return earlier;
    }
    await pending.forget();
  }
  const sent = await connection.send(message, parameters);
  const answer =
    'job' in sent
      ? await waitForJob({ ...context, message, job: sent.job, silent: true, printUuid: false })
      : sent.answer;
  const { uploadUrl, uploadJobUuid } = answer as { uploadUrl: string; uploadJobUuid: string };
  // Whatever address the service thinks it has, it is reached by this one.
  const begun = { path: new URL(uploadUrl).pathname, job: uploadJobUuid };
  await pending.write(begun);
  return begun;
}

/** Sends until all is there, or the service says that it is over; why, its job says then. */
async function sendAll(context: CommandContext, sending: Sending, silent: boolean): Promise<void> {
  const { connection, terminal, interrupts } = context;
  let display: TransferDisplay | undefined;
  let furthest = -1;
  for (let goneSince = performance.now(); ; ) {
    try {
      const offset = await offsetOf(context, sending.path);
      if (offset === undefined) return;
      display ??= new TransferDisplay({
        terminal,
        label: 'AddImage',
        silent,
        total: sending.size,
        resumed: offset,
      });
      if (offset >= sending.size) return;
      if (offset > furthest) goneSince = performance.now();
      furthest = Math.max(furthest, offset);
      if (await sendFrom(context, sending, offset, (bytes) => display?.show(bytes))) return;
    } catch (error) {
      if (interrupts.signal.aborted || !(error instanceof NotReached)) throw error;
      if (performance.now() - goneSince > PATIENCE) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
    await connection.lookAgain();
  }
}

/** Where the service goes on; undefined where it knows of no such upload. Waits for one that is just being taken up. */
async function offsetOf({ connection }: CommandContext, path: string): Promise<number | undefined> {
  for (const deadline = performance.now() + PATIENCE; ; ) {
    const answer = await connection.fetch(path, { method: 'HEAD', headers: TUS });
    if (answer.status === 200) return Number(answer.headers.get('upload-offset'));
    if (answer.status === 404 || answer.status === 410) return undefined;
    if (performance.now() > deadline) {
      throw new Ending(EXIT.failed, `the service is not ready for the upload (${answer.status})`);
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
}

/** Whether that was all, or all there will be: false where it has to be tried again. */
async function sendFrom(
  { connection }: CommandContext,
  { path, file, size }: Sending,
  offset: number,
  show: (bytes: number) => void,
): Promise<boolean> {
  async function* pieces() {
    let sent = offset;
    for await (const piece of createReadStream(file, {
      start: offset,
      end: size - 1,
      highWaterMark: PIECE,
    })) {
      sent += piece.length;
      show(sent);
      yield piece as Uint8Array;
    }
  }
  const response = await connection.fetch(path, {
    method: 'PATCH',
    headers: {
      ...TUS,
      'upload-offset': String(offset),
      'content-type': 'application/offset+octet-stream',
      'content-length': String(size - offset),
    },
    body: ReadableStream.from(pieces()),
  });
  const { status } = response;
  await response.body?.cancel();
  // What went wrong for good, the job says.
  return status < 300 || (status < 500 && status !== 409 && status !== 423);
}

/** A file that was written to meanwhile is neither what it was nor what it is. */
async function requireUnchanged(
  { connection }: CommandContext,
  file: string,
  before: { size: number; mtimeMs: number },
  { path }: PendingUpload,
  pending: PendingUploads,
): Promise<void> {
  const now = await stat(file).catch(() => undefined);
  if (now?.size === before.size && now.mtimeMs === before.mtimeMs) return;
  await connection.fetch(path, { method: 'DELETE', headers: TUS });
  await pending.forget();
  throw new Ending(EXIT.failed, `${file} was changed while it was sent; the upload was given up`);
}
