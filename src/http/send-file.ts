/** Bytes in place of JSON: conditions, ranges, and as fast as the storage and the client are, in little memory. */
import type { ServerResponse } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { AnsweredBytes, AnsweredFile } from '../kernel/message.ts';
import { HttpProblem } from './answers.ts';
import { contentDisposition, wantedBytes } from './file-range.ts';
import { alwaysSaid } from './security-headers.ts';

/** Two of these a download: one is filled while the other is sent. Larger ones were no faster. */
const PIECE_BYTES = { most: 256 * 1024, least: 16 * 1024 };
/** Where more downloads are under way than these bytes are full pieces of, a new one gets smaller ones. */
const ALL_BYTES = 32 * 1024 * 1024;

let underWay = 0;

/** Whole pages, so many that a thousand slow clients cost little more than a hundred. */
function pieceBytes(): number {
  const share = Math.floor(ALL_BYTES / underWay / 4096) * 4096;
  return Math.min(PIECE_BYTES.most, Math.max(PIECE_BYTES.least, share));
}

/** Answers with the file, or what the conditions of the request make of it. */
export async function sendFile(
  file: AnsweredFile,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const etag = `"${file.sha256}"`;
  const wanted = wantedBytes(request.headers, etag, file.size);
  reply
    .header('etag', etag)
    .header('accept-ranges', 'bytes')
    .header('repr-digest', `sha-256=:${Buffer.from(file.sha256, 'hex').toString('base64')}:`);
  if (wanted.status === 304) return reply.code(304).send();
  if (wanted.status === 412) throw new HttpProblem(412, 'SYS.1006', 'the image has another ETag');
  if (wanted.status === 416) {
    reply.header('content-range', `bytes */${file.size}`);
    const details = `the range '${request.headers.range}' lies outside of the ${file.size} bytes`;
    throw new HttpProblem(416, 'SYS.1007', details);
  }
  const { status, start, end } = wanted;
  reply
    .code(status)
    .type('application/octet-stream')
    .header('content-length', end - start)
    .header('content-disposition', contentDisposition(file.name));
  if (status === 206) reply.header('content-range', `bytes ${start}-${end - 1}/${file.size}`);
  if (request.method === 'HEAD') return reply.send();
  const gone = new AbortController();
  const onClose = () => gone.abort(new Error('the client is gone'));
  reply.raw.once('close', onClose);
  // What can't be opened is an error like any other, as nothing has been sent yet.
  const bytes = await file.open(start, gone.signal).catch((error) => {
    reply.raw.off('close', onClose);
    if (!gone.signal.aborted) throw error;
    return undefined;
  });
  reply.hijack();
  if (!bytes) return reply;
  underWay++;
  try {
    reply.raw.writeHead(status, headersOf(reply, request));
    await pump(bytes, reply.raw, end - start);
    reply.raw.end();
  } catch (error) {
    // The client sees by the length that it has not got all.
    if (!gone.signal.aborted) request.log.error({ err: error }, 'a download broke off');
    reply.raw.destroy();
  } finally {
    underWay--;
    reply.raw.off('close', onClose);
    await bytes.close().catch(() => {});
  }
  return reply;
}

/** Those that all answers have too: none of their hooks sees one that is written past Fastify. */
function headersOf(reply: FastifyReply, request: FastifyRequest): Record<string, string> {
  return {
    ...(reply.getHeaders() as Record<string, string>),
    ...alwaysSaid(request),
    // It may be kept, and asked for again with its ETag.
    'cache-control': 'private, no-cache',
  };
}

/** Reads a piece while the one before it is being sent, and never more. */
async function pump(bytes: AnsweredBytes, response: ServerResponse, length: number): Promise<void> {
  const most = pieceBytes();
  const memory = [Buffer.allocUnsafeSlow(most), Buffer.allocUnsafeSlow(most)] as const;
  let sent: Promise<void> = Promise.resolve();
  let left = length;
  for (let turn: 0 | 1 = 0; left > 0; turn = turn === 0 ? 1 : 0) {
    const piece = memory[turn].subarray(0, Math.min(most, left));
    const read = await bytes.read(piece);
    if (read === 0) throw new Error(`the file ended ${left} bytes early`);
    left -= read;
    await sent;
    sent = write(response, piece.subarray(0, read));
    sent.catch(() => {}); // heard of at the next turn
  }
  await sent;
}

/** Fulfilled when the piece's memory may be used again. */
function write(response: ServerResponse, piece: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error?: Error | null) => {
      response.off('close', onClose);
      if (error) reject(error);
      else resolve();
    };
    const onClose = () => settle(new Error('the client is gone'));
    response.once('close', onClose);
    response.write(piece, settle);
  });
}
