/** What a call's headers say of how it is to be carried out (zstack-api.md 1.5). */
import type { FastifyRequest } from 'fastify';
import { shorten } from '../kernel/format.ts';
import { HttpProblem } from './answers.ts';

/** More than this is taken as this: 30 days, in seconds. */
const LONGEST = 2_592_000;

/** `X-Job-UUID`, the job's uuid where the client chose it; `X-API-Timeout`, in seconds; and where it came from. */
export function callHeaders(request: FastifyRequest): { id?: string; timeout?: number; from: string } {
  const id = request.headers['x-job-uuid'];
  if (id !== undefined && (typeof id !== 'string' || !/^[0-9a-zA-Z]{32}$/.test(id))) {
    throw new HttpProblem(
      400,
      'SYS.1007',
      `the header X-Job-UUID must have 32 letters and digits, but is '${shorten(String(id))}'`,
    );
  }
  const given = request.headers['x-api-timeout'];
  const seconds = Number(given);
  if (given !== undefined && !(Number.isInteger(seconds) && seconds >= 1)) {
    throw new HttpProblem(
      400,
      'SYS.1007',
      `the header X-API-Timeout must be a whole number of seconds, at least 1, but is '${shorten(String(given))}'`,
    );
  }
  return {
    ...(id !== undefined && { id }),
    ...(given !== undefined && { timeout: Math.min(seconds, LONGEST) * 1000 }),
    from: request.ip,
  };
}
