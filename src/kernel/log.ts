import { type DestinationStream, type Logger, pino } from 'pino';

export type Log = Logger;

/** One log line is one JSON object; secrets are cut out by path before anything is written. */
export function createLog(level: string, destination?: DestinationStream): Log {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: ['password', '*.password', 'req.headers.authorization', '*.oldPassword', '*.secretKey'],
  };
  return destination ? pino(options, destination) : pino(options, pino.destination(2));
}
