/** How errors and answers become HTTP (zstack-api.md 1.6, 1.8). */
import type { FastifyReply } from 'fastify';
import { type ErrorBody, IngotError } from '../kernel/errors.ts';

const JSON_TYPE = 'application/json;charset=utf-8';

export function sendJson(reply: FastifyReply, status: number, body: unknown): FastifyReply {
  // As bytes: Node would join a text to the head of the answer first, and then look through both for characters beyond
  // ASCII.
  return reply
    .code(status)
    .header('content-type', JSON_TYPE)
    .send(Buffer.from(JSON.stringify(body)));
}

/** An error's body has one member and no other: ZStack's Go client looks for exactly that. */
export function sendError(reply: FastifyReply, status: number, error: ErrorBody): FastifyReply {
  return sendJson(reply, status, { error });
}

/** An error of the HTTP layer itself, with a status of its own; everything else is 503 on ZStack's wire. */
export class HttpProblem extends IngotError {
  readonly status: number;
  /** True where the body is the sentence alone, as text. */
  readonly plain: boolean;

  constructor(
    status: number,
    code: IngotError['code'],
    details: string,
    { plain = false }: { plain?: boolean } = {},
  ) {
    super(code, details);
    this.status = status;
    this.plain = plain;
  }
}

/** The status of HTTP that an error is for clients of `/v1`. */
export function statusOf(error: IngotError): number {
  if (error instanceof HttpProblem) return error.status;
  return STATUSES[error.code] ?? 500;
}

const STATUSES: Partial<Record<IngotError['code'], number>> = {
  'SYS.1001': 504,
  'SYS.1002': 422,
  'SYS.1003': 404,
  'SYS.1004': 409,
  'SYS.1005': 409,
  'SYS.1006': 409,
  'SYS.1007': 400,
  'SYS.1008': 404,
  'SYS.1010': 503,
  'SYS.1013': 422,
  'SYS.1015': 502,
  'SYS.1017': 409,
  'ID.1000': 401,
  'ID.1001': 401,
  'ID.1002': 403,
  'ID.1003': 403,
  'ID.1006': 429,
  'IMG.1000': 422,
  'IMG.1001': 422,
  'IMG.1002': 422,
  'BS.1000': 502,
  'BS.1003': 409,
  'BS.1005': 502,
  'BS.1006': 409,
  'LONG_JOB.1001': 409,
  'LONG_JOB.1003': 422,
};
